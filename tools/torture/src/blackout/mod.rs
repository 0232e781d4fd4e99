// SPDX-License-Identifier: GPL-2.0
//! `ostor-torture blackout`: no lock of the module can be taken while owners die and a
//! map is closed. No linked object may be freed until locks can be taken again; then all
//! are freed, each once, and soon.

mod owners;

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use ostor::device::{self, Map};
use ostor::exit::Exit;
use ostor::interrupt::Interrupts;
use ostor::object::Object;
use ostor::output::Output;
use ostor::report::Report;
use ostor::settle;
use uapi::ostor_stats;

use crate::cli::BlackoutArgs;
use crate::faults::{Chances, Faults};
use crate::stress::descriptors;

/// Duration of the blackout after the last death, in which the reaper tries again a few
/// times.
const DARK: Duration = Duration::from_secs(2);

/// Longest time until all objects are freed after the blackout.
const SOON: Duration = Duration::from_secs(5);

/// Time between two looks at what the module has done.
const LOOK: Duration = Duration::from_millis(20);

const VALUE_SIZE: u32 = 16;

const ALL_LOCKS: Chances = Chances {
    locks: 100,
    allocs: 0,
    delay_us: 0,
};

/// Runs the command.
pub(crate) fn run(args: &BlackoutArgs, output: &Output) -> Result<Exit> {
    descriptors::allow(args.owners)?;
    let before = device::stats()?;
    let mut report = Report::default();
    let interrupts = Interrupts::block()?;
    let blackout = Blackout {
        open: Map::create(VALUE_SIZE)?,
        before: &before,
        interrupts: &interrupts,
    };
    let closed = Map::create(VALUE_SIZE)?;
    let maps = [&blackout.open, &closed];
    let count = usize::try_from(args.owners)?;
    let objects = owners::make(count, maps, &before, &interrupts, &mut report)?;

    let over = blackout.run(objects, closed, &mut report)?;
    drop(blackout);
    settle::stats_back_to(&before)?;
    let took = over.elapsed();
    report.add("milliseconds until all was freed", took.as_millis() as u64);
    if took > SOON {
        report.problem(format!(
            "all objects were freed after {took:?}, must be within {SOON:?}"
        ));
    }
    report.expect_nothing_left(&before)?;
    report.print("blackout", output)
}

struct Blackout<'a> {
    /// The map that stays open.
    open: Map,
    /// The statistics before the run.
    before: &'a ostor_stats,
    interrupts: &'a Interrupts,
}

impl Blackout<'_> {
    /// Ends the owners and closes a map during the blackout. Returns the moment at which
    /// the blackout ended; by then the map is closed.
    fn run(&self, mut objects: Vec<Object>, closed: Map, report: &mut Report) -> Result<Instant> {
        let elements = 2 * objects.len() as u64;
        let full = device::stats()?;
        let made = full.elements - self.before.elements;
        report.expect("elements before the blackout", made, elements);
        thread::scope(|scope| {
            // On every way out `faults` is dropped before the scope waits for the map to
            // be closed, which needs the locks.
            let faults = Faults::inject(&ALL_LOCKS)?;
            let later = objects.split_off(objects.len() / 2);
            owners::end(objects, self.interrupts)?;
            let closing = scope.spawn(|| drop(closed));
            owners::end(later, self.interrupts)?;
            let dead = self.wait_for_deaths()?;
            report.expect("all deaths were noticed", dead, true);
            self.wait(DARK)?;

            report.expect("closed in the blackout", closing.is_finished(), false);
            report.expect("elements listed", self.open.list()?.len(), 0);
            self.check_nothing_freed(&faults, &full, report)?;
            drop(faults);
            let over = Instant::now();
            while !closing.is_finished() && over.elapsed() < settle::DEADLINE {
                self.wait(LOOK)?;
            }
            report.expect("closed at the end", closing.is_finished(), true);
            Ok(over)
        })
    }

    /// Waits until no element of the open map can be found any more.
    fn wait_for_deaths(&self) -> Result<bool> {
        let start = Instant::now();
        while self.open.info()?.elements > 0 {
            if start.elapsed() > settle::DEADLINE {
                return Ok(false);
            }
            self.wait(LOOK)?;
        }
        Ok(true)
    }

    fn wait(&self, time: Duration) -> Result<()> {
        let start = Instant::now();
        while start.elapsed() < time {
            self.interrupts.check()?;
            thread::sleep(LOOK);
        }
        Ok(())
    }

    /// Checks that no object was unlinked and freed in the blackout: unlinking takes two
    /// locks.
    fn check_nothing_freed(
        &self,
        faults: &Faults,
        full: &ostor_stats,
        report: &mut Report,
    ) -> Result<()> {
        let dark = faults.stats()?;
        for (what, dark, full) in [
            ("values dropped in the blackout", dark.dropped, full.dropped),
            ("elements freed in the blackout", dark.freed, full.freed),
            ("elements in the blackout", dark.elements, full.elements),
            ("storages in the blackout", dark.storages, full.storages),
            (
                "unlinkings finished in the blackout",
                dark.finished,
                full.finished,
            ),
        ] {
            report.expect(what, dark, full);
        }
        report.add("elements held in the blackout", dark.elements);
        // A pass that has not failed yet is counted already, so only failures are shown.
        for count in faults.counts()? {
            report.add(&format!("{}: failed", count.name), count.failed);
        }
        Ok(())
    }
}
