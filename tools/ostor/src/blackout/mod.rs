// SPDX-License-Identifier: GPL-2.0
//! `ostor blackout`: no lock of the module can be had while owners die and a map
//! is closed. Nothing of what is linked may be freed; and once the locks are
//! there again all of it is, once, and soon.

mod owners;

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use ostor::device::{self, Map};
use ostor::object::Object;
use ostor::settle;
use uapi::ostor_stats;

use crate::cli::BlackoutArgs;
use crate::exit::Exit;
use crate::faults::{Chances, Faults};
use crate::interrupt::Interrupts;
use crate::output::Output;
use crate::stress::descriptors;
use crate::stress::findings::Findings;

/// How long the blackout goes on when all owners are dead, so that the module
/// tries again some times.
const DARK: Duration = Duration::from_secs(2);

/// How long everything may take to be freed when locks can be had again.
const SOON: Duration = Duration::from_secs(5);

/// How often the one who waits looks.
const LOOK: Duration = Duration::from_millis(20);

const VALUE_SIZE: u32 = 16;

const ALL_LOCKS: Chances = Chances {
    locks: 100,
    allocs: 0,
    delay_us: 0,
};

/// `ostor blackout`
pub(crate) fn run(args: &BlackoutArgs, output: &Output) -> Result<Exit> {
    descriptors::allow(args.owners)?;
    let before = device::stats()?;
    let mut findings = Findings::default();
    let interrupts = Interrupts::keep()?;
    let blackout = Blackout {
        stays: Map::create(VALUE_SIZE)?,
        before: &before,
        interrupts: &interrupts,
    };
    let closed = Map::create(VALUE_SIZE)?;
    let maps = [&blackout.stays, &closed];
    let count = usize::try_from(args.owners)?;
    let objects = owners::make(count, maps, &before, &interrupts, &mut findings)?;

    let over = blackout.run(objects, closed, &mut findings)?;
    drop(blackout);
    settle::stats_back_to(&before)?;
    let took = over.elapsed();
    findings.add("milliseconds until all was freed", took.as_millis() as u64);
    if took > SOON {
        findings.problem(format!(
            "it took {took:?} to free all, must be within {SOON:?}"
        ));
    }
    findings.expect_nothing_left(&before)?;
    findings.print("blackout", output)
}

/// What there is during a blackout.
struct Blackout<'a> {
    /// A map that is not closed.
    stays: Map,
    /// What there was before.
    before: &'a ostor_stats,
    interrupts: &'a Interrupts,
}

impl Blackout<'_> {
    /// Ends the objects and closes a map in the dark. Returns when the blackout
    /// was over; the map is closed then.
    fn run(
        &self,
        mut objects: Vec<Object>,
        closed: Map,
        findings: &mut Findings,
    ) -> Result<Instant> {
        let elements = 2 * objects.len() as u64;
        let full = device::stats()?;
        let made = full.elements - self.before.elements;
        findings.expect("elements before the blackout", made, elements);
        thread::scope(|scope| {
            // Whatever happens here, locks can be had again before the scope
            // waits for the map to be closed.
            let faults = Faults::turn_on(&ALL_LOCKS)?;
            let later = objects.split_off(objects.len() / 2);
            owners::end(objects, self.interrupts)?;
            let closing = scope.spawn(|| drop(closed));
            owners::end(later, self.interrupts)?;
            let dead = self.wait_for_deaths()?;
            findings.expect("all deaths were noticed", dead, true);
            self.wait(DARK)?;

            findings.expect("closed in the dark", closing.is_finished(), false);
            findings.expect("elements listed", self.stays.list()?.len(), 0);
            self.look(&faults, &full, findings)?;
            drop(faults);
            let over = Instant::now();
            while !closing.is_finished() && over.elapsed() < settle::DEADLINE {
                self.wait(LOOK)?;
            }
            findings.expect("closed in the end", closing.is_finished(), true);
            Ok(over)
        })
    }

    /// Waits until nobody finds a value any more.
    fn wait_for_deaths(&self) -> Result<bool> {
        let start = Instant::now();
        while self.stays.info()?.elements > 0 {
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

    /// Looks at what was freed in the dark: unlinking takes two locks, and so
    /// nothing.
    fn look(&self, faults: &Faults, full: &ostor_stats, findings: &mut Findings) -> Result<()> {
        let dark = faults.stats()?;
        for (what, dark, full) in [
            ("values dropped in the dark", dark.dropped, full.dropped),
            ("elements freed in the dark", dark.freed, full.freed),
            ("elements in the dark", dark.elements, full.elements),
            ("storages in the dark", dark.storages, full.storages),
            (
                "unlinkings finished in the dark",
                dark.finished,
                full.finished,
            ),
        ] {
            findings.expect(what, dark, full);
        }
        findings.add("elements held in the dark", dark.elements);
        // Those that come by at this moment are counted and have not failed yet.
        for count in faults.counts()? {
            findings.add(&format!("{}: failed", count.name), count.failed);
        }
        Ok(())
    }
}
