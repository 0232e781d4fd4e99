// SPDX-License-Identifier: GPL-2.0

//! Locks and allocations that fail.

use crate::sync::compat::EDEADLK;
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
            error::Refusal,
            runtime::Runtime, //
        },
        sync::{
            deferred,
            fault::Site,
            rcu,
            res_lock::LockError, //
        },
    };

    fn wait_for_storages(count: u64) -> Result<bool> {
        let stats = &Runtime::get().ok_or(ENODEV)?.stats;
        for _ in 0..100 {
            if stats.sum(|here| &here.storages) == count
                && stats.sum(|here| &here.deferred) == stats.finished.get()
            {
                return Ok(true);
            }
            deferred::sleep_10ms();
        }
        Ok(false)
    }

    #[test]
    fn create_reports_the_lock() -> Result {
        let f = Fixture::new()?;
        let owner = Mock::new(1)?;
        for existing in [false, true] {
            if existing {
                f.create(&owner, 1)?;
            }
            let g = Fixture::new()?;
            let fault = inject(Site::LinkLock, 1)?;
            assert!(g.create(&owner, 2) == Err(EDEADLK));
            drop(fault);
            assert!(g.elements() == 0);
            assert!(g.tally.wait_for(0));
            assert!(g.create(&owner, 3) == Ok(3));
        }
        Ok(())
    }

    #[test]
    fn update_reports_the_lock_and_changes_nothing() -> Result {
        let f = Fixture::new()?;
        let owner = Mock::new(1)?;
        f.create(&owner, 1)?;
        let fault = inject(Site::LinkLock, 1)?;
        let refusal = {
            let rcu = rcu::read_lock();
            let value = f.tally.value(2);
            f.map.update(&*owner, Mode::Any, value, &rcu).err()
        };
        drop(fault);
        assert!(refusal == Some(Refusal::Lock(LockError::Deadlock)));
        assert!(f.number(&owner) == Some(1));
        assert!(f.tally.wait_for(1));
        Ok(())
    }

    #[test]
    fn create_without_memory() -> Result {
        let stats = &Runtime::get().ok_or(ENODEV)?.stats;
        let storages = stats.sum(|here| &here.storages);
        let f = Fixture::new()?;
        let owner = Mock::new(1)?;
        for site in [Site::ElementAlloc, Site::StorageAlloc] {
            let fault = inject(site, 1)?;
            assert!(f.create(&owner, 1) == Err(ENOMEM));
            drop(fault);
            assert!(f.elements() == 0);
        }
        assert!(f.map.raw().counters().nomem.get() == 2);
        assert!(f.tally.wait_for(0));
        assert!(stats.sum(|here| &here.storages) == storages);
        Ok(())
    }

    #[test]
    fn delete_succeeds_whatever_lock_fails() -> Result {
        for site in [Site::UnlinkLock, Site::BucketLock, Site::IndexLock] {
            let storages = Runtime::get()
                .ok_or(ENODEV)?
                .stats
                .sum(|here| &here.storages);
            let f = Fixture::new()?;
            let owner = Mock::new(1)?;
            f.create(&owner, 1)?;
            let fault = inject(site, 3)?;
            assert!(f.map.delete(&*owner, &rcu::read_lock()).is_ok());
            assert!(f.number(&owner).is_none());
            assert!(f.tally.wait_for(0));
            drop(fault);
            assert!(wait_for_storages(storages)?);
        }
        Ok(())
    }

    #[test]
    fn nothing_is_freed_while_it_is_linked() -> Result {
        let f = Fixture::new()?;
        let owner = Mock::new(1)?;
        f.create(&owner, 1)?;
        let fault = inject(Site::BucketLock, -1)?;
        assert!(f.map.delete(&*owner, &rcu::read_lock()).is_ok());
        for _ in 0..5 {
            rcu::synchronize_rcu();
            deferred::sleep_10ms();
        }
        assert!(f.tally.dropped() == 0);
        assert!(f.map.raw().unfreed() == 1);
        drop(fault);
        assert!(f.tally.wait_for(0));
        Ok(())
    }

    #[test]
    fn a_new_life_beside_the_remains() -> Result {
        let f = Fixture::new()?;
        let owner = Mock::new(1)?;
        f.create(&owner, 1)?;
        let fault = inject(Site::BucketLock, -1)?;
        assert!(f.map.delete(&*owner, &rcu::read_lock()).is_ok());
        assert!(f.create(&owner, 2) == Ok(2));
        assert!(f.number(&owner) == Some(2));
        drop(fault);
        assert!(f.tally.wait_for(1));
        assert!(f.number(&owner) == Some(2));
        Ok(())
    }

    #[test]
    fn death_and_end_with_all_locks_failing() -> Result {
        let storages = Runtime::get()
            .ok_or(ENODEV)?
            .stats
            .sum(|here| &here.storages);
        let Fixture { map, tally } = Fixture::new()?;
        let mut owners = KVec::new();
        for n in 0..64 {
            let owner = Mock::new(n)?;
            let rcu = rcu::read_lock();
            map.update(&*owner, Mode::Any, tally.value(n), &rcu)?;
            drop(rcu);
            owners.push(owner, GFP_KERNEL)?;
        }
        let faults = [
            inject(Site::UnlinkLock, 200)?,
            inject(Site::BucketLock, 200)?,
            inject(Site::IndexLock, 200)?,
        ];
        for owner in &owners[..32] {
            assert!(owner.die());
        }
        drop(map);
        assert!(tally.dropped() == 64);
        drop(faults);
        assert!(wait_for_storages(storages)?);
        Ok(())
    }

    /// Everything fails now and then, while owners are created, updated, deleted and die.
    #[test]
    fn a_storm_of_faults() -> Result {
        let storages = Runtime::get()
            .ok_or(ENODEV)?
            .stats
            .sum(|here| &here.storages);
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
                    .get_or_create(&*owner, || f.tally.value(n), &rcu)
                    .map(|_| ()),
                _ => f
                    .map
                    .update(&*owner, Mode::Any, f.tally.value(n), &rcu)
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
        assert!(one.tally.wait_for(0) && two.tally.wait_for(0));
        assert!(wait_for_storages(storages)?);
        Ok(())
    }

    #[test]
    fn a_lost_notice_is_a_miss() -> Result {
        let f = Fixture::new()?;
        let mut owner = Mock::new(1)?;
        f.create(&owner, 1)?;
        owner.become_another();
        assert!(f.number(&owner).is_none());
        assert!(!owner.die());
        owner.become_another();
        assert!(f.create(&owner, 2) == Ok(2));
        assert!(f.number(&owner) == Some(2));
        Ok(())
    }
}
