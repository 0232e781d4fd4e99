// SPDX-License-Identifier: GPL-2.0

//! Very many owners that die while their maps end.

use kernel::prelude::*;

#[kunit_tests(ostor_storage_crowd)]
mod tests {
    use super::super::inject::{
        delay,
        inject, //
    };
    use super::super::mock::{
        Fixture,
        Tally,
        Value, //
    };
    use super::*;
    use crate::{
        owner::crowd::Crowd,
        storage::{
            create::Mode,
            map::Map,
            runtime::Runtime,
            stats::Stats, //
        },
        sync::{
            clock::Stopwatch,
            deferred::{
                self,
                Workqueue, //
            },
            fault::Site,
            rcu, //
        },
    };
    use core::hint::spin_loop;

    const OWNERS: usize = 1000;

    fn stats() -> Result<&'static Stats> {
        Ok(&Runtime::get().ok_or(ENODEV)?.stats)
    }

    fn populate(map: &Map<Value>, tally: &Tally, crowd: &Crowd) -> Result {
        for (n, member) in (0..).zip(crowd.members()) {
            let rcu = rcu::read_lock();
            map.update(&member, Mode::NoExist, tally.value(n), &rcu)?;
        }
        Ok(())
    }

    /// Whether it becomes so within `ms` milliseconds. Does not sleep, so that it can be called
    /// under RCU.
    fn becomes(ms: u64, is_so: impl Fn() -> bool) -> bool {
        let watch = Stopwatch::start();
        while watch.elapsed_ns() < ms * 1_000_000 {
            if is_so() {
                return true;
            }
            spin_loop();
        }
        false
    }

    /// How long to wait for what comes, far from what RCU calls a stall.
    const LONG: u64 = 10_000;

    /// How long to wait for what must not come.
    const SHORT: u64 = 200;

    #[test]
    fn all_die_while_no_lock_can_be_had() -> Result {
        let stats = stats()?;
        let (storages, freed) = (
            stats.sum(|here| &here.storages),
            stats.sum(|here| &here.freed),
        );
        let crowd = Crowd::new(OWNERS)?;
        let maps = [Fixture::new()?, Fixture::new()?];
        for f in &maps {
            populate(&f.map, &f.tally, &crowd)?;
        }
        let tallies = [maps[0].tally.clone(), maps[1].tally.clone()];
        let dropped = || tallies[0].dropped() + tallies[1].dropped();
        let faults = [
            inject(Site::LinkLock, -1)?,
            inject(Site::UnlinkLock, -1)?,
            inject(Site::BucketLock, -1)?,
            inject(Site::IndexLock, -1)?,
        ];
        let ends = Workqueue::new()?;
        for f in maps {
            ends.spawn(move || drop(f))?;
        }
        let died = crowd.doom().deaths().filter(|died| *died).count();
        assert!(died == OWNERS);
        assert!(crowd.charged() == 0);
        for _ in 0..10 {
            rcu::synchronize_rcu();
            deferred::sleep_10ms();
        }
        assert!(stats.sum(|here| &here.deferred) >= stats.finished.get() + 2 * OWNERS as u64);
        // The lock of a storage is wanted where the end of a map was faster than a death, else that
        // of the index.
        assert!(faults[2].failed() > 0 && faults[1].failed() + faults[3].failed() > 0);
        assert!(dropped() == 0 && stats.sum(|here| &here.freed) == freed);
        // What can be unlinked now is not dropped before the guard ends. What the reaper tried before
        // has to wait until the grace period is over that it waits for.
        let rcu = rcu::read_lock();
        drop(faults);
        let is_early = becomes(SHORT, || dropped() != 0);
        drop(rcu);
        let is_unlinked = becomes(LONG, || {
            stats.sum(|here| &here.deferred) == stats.finished.get()
        });
        assert!(is_unlinked && !is_early);
        // Waits for the ends of the maps.
        drop(ends);
        assert!(dropped() == 2 * OWNERS as u64);
        assert!(tallies[0].made() + tallies[1].made() == 2 * OWNERS as u64);
        assert!(stats.sum(|here| &here.freed) == freed + 2 * OWNERS as u64);
        assert!(becomes(LONG, || stats.sum(|here| &here.storages) == storages));
        Ok(())
    }

    /// The notice of death comes while the end of the map gives back: it waits, and the owner is
    /// not touched after it.
    #[test]
    fn a_death_waits_for_a_visitor() -> Result {
        for _ in 0..10 {
            let crowd = Crowd::new(1)?;
            let Fixture { map, tally } = Fixture::new()?;
            populate(&map, &tally, &crowd)?;
            let doomed = crowd.doom();
            let fault = delay(Site::ChargeVisit, 1000)?;
            let end = Workqueue::new()?;
            end.spawn(move || drop(map))?;
            assert!(becomes(LONG, || fault.passed() > 0));
            doomed.deaths().for_each(drop);
            assert!(crowd.charged() == 0);
        }
        Ok(())
    }
}
