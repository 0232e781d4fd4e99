// SPDX-License-Identifier: GPL-2.0
//! `ostor-torture soak`: owners of all kinds end, maps are closed and all operations run,
//! for a long time, while locks and allocations of the module fail.

mod accept;
mod interrupted;
mod limit;
mod reader;
mod threads;
mod watchdog;

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use nix::errno::Errno;
use ostor::device::{self, Kind};
use ostor::exit::Exit;
use ostor::interrupt::Interrupts;
use ostor::output::Output;
use ostor::progress::Progress;
use ostor::report::Report;
use ostor::settle;
use ostor::torture::{TortureDevice, is_test_flavour};

use crate::cli::SoakArgs;
use crate::faults::{Chances, Count, Faults};
use crate::stress::worker::Injected;
use crate::stress::workload::{SharedMaps, Workload};
use accept::Accepting;
use interrupted::Interrupted;
use limit::{Limit, Span};
use threads::Threads;
use watchdog::Watchdog;

/// Time between two looks at how far the run is.
const LOOK: Duration = Duration::from_millis(100);

/// The parameters of a run.
struct Plan {
    span: Span,
    seed: u64,
    /// `None` if no fault is injected.
    chances: Option<Chances>,
}

impl Plan {
    fn of(args: &SoakArgs) -> Self {
        Self {
            span: args.ops.map_or(Span::Seconds(args.seconds), Span::Ops),
            seed: args.seed,
            chances: (!args.no_faults).then_some(Chances {
                locks: args.lock_failures,
                allocs: args.alloc_failures,
                delay_us: args.delay_us,
            }),
        }
    }

    fn injected(&self) -> Injected {
        self.chances
            .map_or(Injected::default(), |chances| Injected {
                locks: chances.locks > 0,
                allocs: chances.allocs > 0,
            })
    }
}

/// Runs the command.
pub(crate) fn run(args: &SoakArgs, output: &Output) -> Result<Exit> {
    let plan = Plan::of(args);
    let before = device::stats()?;
    let mut report = Report::default();
    let interrupts = Interrupts::block()?;
    let torture = TortureDevice::open()?;
    let kinds: Vec<_> = Kind::in_set(before.kinds).collect();
    for kind in Kind::ALL {
        if !kinds.contains(&kind) {
            report.skip(kind.name(), kind.why_not_served());
        }
    }
    let accepting = accepting(&kinds, &mut report)?;
    let interrupted = Interrupted::new(&torture, kinds[0], &mut report)?;
    let has_ages = is_test_flavour(&torture)?;
    let maps = SharedMaps::create(&kinds)?;
    let mut workload = Workload::create(&maps, &kinds)?;
    let device = device::open()?;

    // Declared last, so that it is dropped first on every way out.
    let faults = plan.chances.as_ref().map(Faults::inject).transpose()?;
    let limit = Arc::new(Limit::new(plan.span));
    let _watchdog = Watchdog::new(limit.clone(), *output);
    let threads = Threads {
        workload: &workload,
        device: &device,
        torture: &torture,
        accepting: accepting.as_ref(),
        interrupted: &interrupted,
        has_ages,
        injected: plan.injected(),
        seed: plan.seed,
        limit: &limit,
    };
    let watch = || watch(&limit, faults.as_ref(), &interrupts);
    report.merge(threads.run(watch)?);
    report.add("steps", limit.steps());
    report.add("seconds", limit.elapsed().as_secs());
    if let Some(faults) = &faults {
        report_faults(faults, &plan, &mut report)?;
    }
    drop(faults);

    if let Some(accepting) = accepting {
        accepting.finish(&mut report)?;
    }
    drop((interrupted, maps));
    workload.close_maps();
    // The owners still live, so every charge must have been returned by the maps.
    report.expect(
        "bytes charged to live owners",
        settle::charged_back_to(&before)?,
        before.charged,
    );
    drop((workload, device));
    report.expect_nothing_left(&before)?;
    report.print("soak", output)
}

/// The listener, if the kernel reports accepted sockets.
fn accepting(kinds: &[Kind], report: &mut Report) -> Result<Option<Accepting>> {
    if !kinds.contains(&Kind::Socket) {
        return Ok(None);
    }
    match Accepting::new() {
        Err(error) if errno_of(&error) == Some(Errno::EOPNOTSUPP) => {
            report.skip("accepted sockets", error);
            Ok(None)
        }
        accepting => accepting.map(Some),
    }
}

fn errno_of(error: &anyhow::Error) -> Option<Errno> {
    error.downcast_ref().map(device::Error::errno)
}

/// Shows progress until the limit is reached. Fails if a signal interrupts the run.
fn watch(limit: &Limit, faults: Option<&Faults>, interrupts: &Interrupts) -> Result<()> {
    let (what, total, _) = limit.progress();
    let mut progress = Progress::new(what, total);
    while !limit.is_over() {
        thread::sleep(LOOK);
        interrupts.check()?;
        let (_, _, done) = limit.progress();
        progress.at_with(done, || {
            let failed = match faults {
                Some(faults) => faults.counts()?.iter().map(|count| count.failed).sum(),
                None => 0,
            };
            Ok(format!("{} steps, {failed} failures", limit.steps()))
        })?;
    }
    Ok(())
}

/// Adds the counts of the fault sites. If no fault was injected the run has tested
/// nothing, which is a problem.
fn report_faults(faults: &Faults, plan: &Plan, report: &mut Report) -> Result<()> {
    let counts = faults.counts()?;
    for Count {
        name,
        passed,
        failed,
    } in &counts
    {
        report.add(&format!("{name}: passed"), *passed);
        report.add(&format!("{name}: failed"), *failed);
    }
    let has_failed = |kind: &str| {
        let mut of_kind = counts.iter().filter(|count| count.name.ends_with(kind));
        of_kind.any(|count| count.failed > 0)
    };
    let injected = plan.injected();
    for (what, kind, wanted) in [
        ("lock", "_lock", injected.locks),
        ("allocation", "_alloc", injected.allocs),
    ] {
        if wanted && !has_failed(kind) {
            report.problem(format!("no {what} was made to fail; run for longer"));
        }
    }
    let stats = faults.stats()?;
    report.add(
        "deferred and not finished at the end",
        stats.deferred - stats.finished,
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn plan(words: &[&str]) -> Plan {
        let cli = Cli::try_parse_from([&["ostor-torture", "soak"], words].concat()).unwrap();
        match cli.command {
            Command::Soak(args) => Plan::of(&args),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn faults_are_injected_unless_their_chance_is_zero() {
        let injected = |words: &[&str]| {
            let injected = plan(words).injected();
            (injected.locks, injected.allocs)
        };
        assert_eq!(injected(&[]), (true, true));
        assert_eq!(injected(&["--lock-failures", "0"]), (false, true));
        assert_eq!(injected(&["--alloc-failures", "0"]), (true, false));
        assert_eq!(injected(&["--no-faults"]), (false, false));
    }

    #[test]
    fn lasts_for_seconds_or_operations() {
        assert_eq!(plan(&["--seconds", "7"]).span, Span::Seconds(7));
        assert_eq!(plan(&["--ops", "7"]).span, Span::Ops(7));
    }
}
