// SPDX-License-Identifier: GPL-2.0
//! `ostor demo`: what the module does, shown on real processes, cgroups, sockets
//! and network namespaces.

mod acts;
mod kinds;
mod report;
mod sockets;
mod unload;

use anyhow::Result;
use ostor::{device, settle};
use uapi::ostor_stats;

use crate::cli::DemoArgs;
use crate::exit::Exit;
use crate::output::Output;
use acts::Stage;
use report::Report;

/// `ostor demo`
pub(crate) fn run(args: &DemoArgs, output: &Output) -> Result<Exit> {
    let before = device::stats()?;
    if settle::alive(&before) != [0; settle::ALIVE.len()] {
        anyhow::bail!(
            "the demo shows that nothing remains, but others use the device: {} maps are open; \
             close them first (`ostor map ls`)",
            before.maps
        );
    }
    let mut report = Report::new(output);
    if let Err(error) = play(args, &before, &mut report) {
        report.row("go on after that", format!("{error:#}"), false);
    }

    let remaining = settle::stats_back_to(&before)?;
    report.remaining(&remaining);
    if args.keep_module {
        report.line("the module stays loaded");
    } else {
        unload::act(&mut report);
    }
    report.finish()
}

/// All acts on owners and maps; none is left afterwards.
fn play(args: &DemoArgs, before: &ostor_stats, report: &mut Report<'_>) -> Result<()> {
    let mut stage = Stage::new(args.processes, report)?;
    stage.store(report)?;
    stage.read_back(report)?;
    stage.update(report)?;
    stage.delete_some(report)?;
    stage.list(report)?;
    stage.kill_some(report)?;
    acts::recursion(report)?;
    stage.free_map_of_the_living(report)?;
    stage.free_map_of_the_dying(report)?;
    kinds::side_by_side(before, report)?;
    sockets::charge(before, report)?;
    sockets::copies(before, report)
}
