// SPDX-License-Identifier: GPL-2.0
//! `ostor torture`: owners of all kinds live and die, maps are closed, and every
//! operation runs, while locks and allocations of the module fail.

mod accept;
mod holder;
mod interrupted;
mod limit;
mod watchdog;
mod workers;

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use nix::errno::Errno;
use ostor::device::{self, Kind};
use ostor::settle;

use crate::cli::TortureArgs;
use crate::exit::Exit;
use crate::faults::{Chances, Count, Faults};
use crate::interrupt::Interrupts;
use crate::output::Output;
use crate::progress::Progress;
use crate::stress::findings::Findings;
use crate::stress::player::Injected;
use crate::stress::world::{SharedMaps, World};
use accept::Accepting;
use interrupted::Interrupted;
use limit::{Limit, Span};
use watchdog::Watchdog;
use workers::Workers;

/// How often the one who waits looks.
const LOOK: Duration = Duration::from_millis(100);

/// What a torture is.
struct Plan {
    span: Span,
    seed: u64,
    /// Nothing, if nothing is to fail.
    chances: Option<Chances>,
}

impl Plan {
    fn of(args: &TortureArgs) -> Self {
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

/// `ostor torture`
pub(crate) fn run(args: &TortureArgs, output: &Output) -> Result<Exit> {
    let plan = Plan::of(args);
    let before = device::stats()?;
    let mut findings = Findings::default();
    let interrupts = Interrupts::keep()?;
    let kinds: Vec<_> = Kind::in_set(before.kinds).collect();
    for kind in Kind::ALL {
        if !kinds.contains(&kind) {
            findings.skip(kind.name(), kind.why_not_served());
        }
    }
    let accepting = accepting(&kinds, &mut findings)?;
    let interrupted = Interrupted::new(kinds[0], &mut findings)?;
    let tells_ages = holder::is_served()?;
    let maps = SharedMaps::create(&kinds)?;
    let mut world = World::create(&maps, &kinds)?;
    let device = device::open()?;

    // The last to be made is the first to go, whatever happens.
    let faults = plan.chances.as_ref().map(Faults::turn_on).transpose()?;
    let limit = Arc::new(Limit::new(plan.span));
    let _watchdog = Watchdog::new(limit.clone());
    let workers = Workers {
        world: &world,
        device: &device,
        accepting: accepting.as_ref(),
        interrupted: &interrupted,
        tells_ages,
        injected: plan.injected(),
        seed: plan.seed,
        limit: &limit,
    };
    let watch = || watch(&limit, faults.as_ref(), &interrupts);
    findings.merge(workers.run(watch)?);
    findings.add("turns", limit.turns());
    findings.add("seconds", limit.elapsed().as_secs());
    if let Some(faults) = &faults {
        report(faults, &plan, &mut findings)?;
    }
    drop(faults);

    if let Some(accepting) = accepting {
        accepting.finish(&mut findings)?;
    }
    drop((interrupted, maps));
    world.close_maps();
    // Its owners live: nobody gives back for them what their maps have not.
    findings.expect(
        "bytes charged to the living",
        settle::charged_back_to(&before)?,
        before.charged,
    );
    drop((world, device));
    findings.expect_nothing_left(&before)?;
    findings.print("torture", output)
}

/// The listener, where the kernel tells of accepted sockets.
fn accepting(kinds: &[Kind], findings: &mut Findings) -> Result<Option<Accepting>> {
    if !kinds.contains(&Kind::Socket) {
        return Ok(None);
    }
    match Accepting::new() {
        Err(error) if errno_of(&error) == Some(Errno::EOPNOTSUPP) => {
            findings.skip("accepted sockets", error);
            Ok(None)
        }
        accepting => accepting.map(Some),
    }
}

fn errno_of(error: &anyhow::Error) -> Option<Errno> {
    error.downcast_ref().map(device::Error::errno)
}

/// Shows how far it is until it is over. Fails if it was interrupted.
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
            Ok(format!("{} turns, {failed} failures", limit.turns()))
        })?;
    }
    Ok(())
}

/// Adds what was made to fail. That nothing was is a problem: then nothing was
/// tested.
fn report(faults: &Faults, plan: &Plan, findings: &mut Findings) -> Result<()> {
    let counts = faults.counts()?;
    for Count {
        name,
        passed,
        failed,
    } in &counts
    {
        findings.add(&format!("{name}: passed"), *passed);
        findings.add(&format!("{name}: failed"), *failed);
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
            findings.problem(format!("no {what} was made to fail; go on for longer"));
        }
    }
    let stats = faults.stats()?;
    findings.add(
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
        let cli = Cli::try_parse_from([&["ostor", "torture"], words].concat()).unwrap();
        match cli.command {
            Command::Torture(args) => Plan::of(&args),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_fails_is_no_wonder() {
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
