// SPDX-License-Identifier: GPL-2.0

//! Locks and allocations that fail, with the kernel's own RCU and kworkers.

use kernel::prelude::*;

#[kunit_tests(ostor_storage_faults)]
mod tests {
    use super::super::inject::{
        inject,
        inject_some, //
    };
    use super::super::mock::{
        Fixture,
        Mock, //
    };
    use super::*;
    use crate::{
        storage::{
            create::Mode,
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

    /// The statistics, with nothing in them that has died before and is not freed yet.
    fn stats() -> Result<&'static Stats> {
        let runtime = Runtime::get().ok_or(ENODEV)?;
        runtime.flush();
        Ok(&runtime.stats)
    }

    /// Whether all that was left to the reaper is unlinked.
    fn is_finished(stats: &Stats) -> bool {
        stats.sum(|here| &here.deferred) == stats.finished.get()
    }

    /// Waits `ms` milliseconds at most until `is_so` returns true, and calls `pause` again and
    /// again meanwhile. Returns whether it did.
    fn becomes(ms: u64, pause: fn(), is_so: impl Fn() -> bool) -> bool {
        let watch = Stopwatch::start();
        while watch.elapsed_ns() < ms * 1_000_000 {
            if is_so() {
                return true;
            }
            pause();
        }
        false
    }

    /// As [`becomes`], and sleeps: without preemption a kworker would not run on this CPU.
    fn becomes_soon(is_so: impl Fn() -> bool) -> bool {
        becomes(LONG, deferred::sleep_10ms, is_so)
    }

    /// Milliseconds to wait for what must happen. RCU reports a stall much later.
    const LONG: u64 = 10_000;

    /// Milliseconds to wait for what must not happen.
    const SHORT: u64 = 200;

    /// Owners that die while no lock can be taken.
    const OWNERS: usize = 1000;

    /// No lock can be taken while a thousand owners die and their maps end. Nothing may be freed
    /// until the locks can be taken, nor before a reader's section ends.
    #[test]
    fn all_die_while_every_lock_fails() -> Result {
        let stats = stats()?;
        let (storages, freed) = (
            stats.sum(|here| &here.storages),
            stats.sum(|here| &here.freed),
        );
        let owners = Mock::many(OWNERS)?;
        let maps = [Fixture::new()?, Fixture::new()?];
        for f in &maps {
            for owner in &owners {
                f.create(owner, 1)?;
            }
        }
        let values = [maps[0].values.clone(), maps[1].values.clone()];
        let dropped = || values[0].dropped() + values[1].dropped();
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
        owners.iter().for_each(Mock::close_gate);
        rcu::synchronize_rcu();
        let died = owners.iter().filter(|owner| owner.notice()).count();
        assert!(died == OWNERS);
        for _ in 0..10 {
            rcu::synchronize_rcu();
            deferred::sleep_10ms();
        }
        assert!(stats.sum(|here| &here.deferred) >= stats.finished.get() + 2 * OWNERS as u64);
        // A death tries the lock of the index, unless the end of a map came first: then that has
        // tried the lock of the storage.
        assert!(faults[2].failed() > 0 && faults[1].failed() + faults[3].failed() > 0);
        assert!(dropped() == 0 && stats.sum(|here| &here.freed) == freed);
        // The reaper may unlink all in this section, and must wait for its end before it frees.
        let rcu = rcu::read_lock();
        drop(faults);
        let is_early = becomes(SHORT, spin_loop, || dropped() != 0);
        drop(rcu);
        let is_unlinked = becomes_soon(|| is_finished(stats));
        assert!(is_unlinked && !is_early);
        // Waits for the ends of the maps, which wait for the drops.
        drop(ends);
        assert!(dropped() == 2 * OWNERS as u64);
        assert!(values[0].made() + values[1].made() == 2 * OWNERS as u64);
        assert!(stats.sum(|here| &here.freed) == freed + 2 * OWNERS as u64);
        assert!(becomes_soon(|| stats.sum(|here| &here.storages) == storages));
        Ok(())
    }

    /// Each lock and each allocation fails now and then, while an owner's elements are created,
    /// updated and deleted.
    #[test]
    fn locks_and_allocations_fail_at_random() -> Result {
        let stats = stats()?;
        let storages = stats.sum(|here| &here.storages);
        let (one, two) = (Fixture::new()?, Fixture::new()?);
        let owner = Mock::charged(1, 1 << 20)?;
        let faults = [
            inject_some(Site::LinkLock, 30)?,
            inject_some(Site::UnlinkLock, 30)?,
            inject_some(Site::BucketLock, 30)?,
            inject_some(Site::IndexLock, 30)?,
            inject_some(Site::ElementAlloc, 10)?,
            inject_some(Site::StorageAlloc, 10)?,
        ];
        for n in 0..5_000 {
            let f = if n % 3 == 0 { &one } else { &two };
            let rcu = rcu::read_lock();
            let _ = match n % 7 {
                0 | 1 => f.map.delete(&*owner, &rcu).map(|_| ()),
                2 => f
                    .map
                    .get_or_create(&*owner, || f.values.value(n), &rcu)
                    .map(|_| ()),
                _ => f
                    .map
                    .update(&*owner, Mode::Any, f.values.value(n), &rcu)
                    .map(|_| ()),
            };
        }
        let live =
            u32::from(one.number(&owner).is_some()) + u32::from(two.number(&owner).is_some());
        let elements = live * one.map.raw().element_size() as u32;
        assert!(owner.charge_now() >= elements);
        assert!(owner.die() || live == 0);
        assert!(owner.charge_now() == 0);
        drop(faults);
        assert!(one.values.wait_for(0) && two.values.wait_for(0));
        assert!(becomes_soon(|| is_finished(stats)));
        assert!(becomes_soon(|| stats.sum(|here| &here.storages) == storages));
        Ok(())
    }
}
