// SPDX-License-Identifier: GPL-2.0
//! `ostor demo`: what the module does, on real processes, cgroups, sockets and network
//! namespaces.

mod kinds;
mod processes;
mod report;
mod sockets;
mod unload;

use std::path::Path;

use anyhow::Result;
use ostor::exit::Exit;
use ostor::output::Output;
use ostor::recursion::{Case, as_table, try_all};
use ostor::{device, settle, torture};
use uapi::ostor_stats;

use crate::cli::DemoArgs;
use processes::Processes;
use report::DemoReport;

/// Runs the command.
pub(crate) fn run(args: &DemoArgs, output: &Output) -> Result<Exit> {
    let before = device::stats()?;
    if settle::alive(&before) != [0; settle::ALIVE.len()] {
        anyhow::bail!(
            "the demo shows that nothing is left at its end, but {} maps are open already; close \
             them first (`ostor map ls`)",
            before.maps
        );
    }
    let mut report = DemoReport::new(output);
    if let Err(error) = all_steps(args, &before, &mut report) {
        // An output that cannot be written ends the demo, as it ends every command.
        if error.is::<ostor::output::WriteError>() {
            return Err(error);
        }
        report.step("continue after that", format!("{error:#}"), false)?;
    }

    let remaining = settle::stats_back_to(&before)?;
    report.remaining(&remaining)?;
    if args.keep_module {
        report.line("the module stays loaded")?;
    } else {
        unload::step(&mut report)?;
    }
    report.finish()
}

/// All steps on owners and maps, which leave nothing behind.
fn all_steps(args: &DemoArgs, before: &ostor_stats, report: &mut DemoReport<'_>) -> Result<()> {
    let mut processes = Processes::start(args.processes, report)?;
    processes.store(report)?;
    processes.read_back(report)?;
    processes.update(report)?;
    processes.delete_some(report)?;
    processes.list(report)?;
    processes.kill_some(report)?;
    recursion(report)?;
    processes.close_map_while_alive(report)?;
    processes.close_map_while_dying(report)?;
    kinds::side_by_side(before, report)?;
    sockets::charge(before, report)?;
    sockets::copies(before, report)
}

/// One operation inside another, at each point.
fn recursion(report: &mut DemoReport<'_>) -> Result<()> {
    if !Path::new(torture::DEVICE).exists() {
        return report.line("operations inside one another need owner_storage_torture: not tried");
    }
    let tried = try_all(&Case::overview())?;
    report.line("one operation inside another, while the outer one holds a lock:")?;
    report.line(as_table(&tried).to_string())?;
    let right = tried.iter().filter(|tried| tried.ok).count();
    let deadlocks = tried.iter().filter(|tried| tried.is_deadlock()).count();
    report.step(
        "run one operation inside another",
        format!(
            "{right} of {} as promised; {deadlocks} times EDEADLK, then ok",
            tried.len()
        ),
        right == tried.len() && deadlocks > 0,
    )
}
