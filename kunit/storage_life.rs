// SPDX-License-Identifier: GPL-2.0

//! Death, end, and races that a probe makes happen.

use crate::sync::compat::EDEADLK;
use kernel::prelude::*;

#[kunit_tests(ostor_storage_life)]
mod tests {
    use super::super::mock::{
        Fixture,
        Mock,
        Tally,
        Value, //
    };
    use super::*;
    use crate::{
        storage::{
            create::Mode,
            error::Refusal,
            map::Map,
            owner::Owner,
            runtime::Runtime, //
        },
        sync::{
            rcu,
            res_lock::LockError,
            trace::{
                self,
                Event, //
            }, //
        },
    };

    #[test]
    fn death_ends_all_elements() -> Result {
        let one = Fixture::new()?;
        let two = Fixture::new()?;
        let owner = Mock::new(1)?;
        let other = Mock::new(2)?;
        one.create(&owner, 1)?;
        two.create(&owner, 2)?;
        one.create(&other, 3)?;
        assert!(owner.die());
        assert!(one.number(&owner).is_none());
        assert!(two.number(&owner).is_none());
        assert!(one.number(&other) == Some(3));
        assert!(one.elements() == 1 && two.elements() == 0);
        assert!(one.tally.wait_for(1) && two.tally.wait_for(0));
        Ok(())
    }

    #[test]
    fn the_dead_are_refused() -> Result {
        let f = Fixture::new()?;
        let owner = Mock::new(1)?;
        assert!(!owner.die());
        assert!(f.create(&owner, 1) == Err(ESRCH));
        assert!(f.elements() == 0);
        assert!(f.tally.made() == 0);
        Ok(())
    }

    #[test]
    fn end_drops_all_values_before_it_returns() -> Result {
        let Fixture { map, tally } = Fixture::new()?;
        let mut owners = KVec::new();
        for n in 0..100 {
            let owner = Mock::new(n)?;
            let rcu = rcu::read_lock();
            map.update(&*owner, Mode::Any, tally.value(n), &rcu)?;
            drop(rcu);
            owners.push(owner, GFP_KERNEL)?;
        }
        drop(map);
        assert!(tally.made() == 100);
        assert!(tally.dropped() == 100);
        Ok(())
    }

    #[test]
    fn end_leaves_nothing_of_any_owner() -> Result {
        let runtime = Runtime::get().ok_or(ENODEV)?;
        let before = runtime.stats.sum(|here| &here.storages);
        let f = Fixture::new()?;
        let owner = Mock::new(1)?;
        f.create(&owner, 1)?;
        assert!(runtime.stats.sum(|here| &here.storages) == before + 1);
        drop(f);
        assert!(runtime.stats.sum(|here| &here.storages) == before);
        assert!(!owner.die());
        Ok(())
    }

    #[test]
    fn drops_may_sleep() -> Result {
        struct Sleeper(Tally);

        impl Drop for Sleeper {
            fn drop(&mut self) {
                rcu::synchronize_rcu();
                drop(self.0.value(0));
            }
        }

        let tally = Tally::new()?;
        let map = Map::<Sleeper>::new()?;
        let owner = Mock::new(1)?;
        {
            let rcu = rcu::read_lock();
            map.get_or_create(&*owner, || Sleeper(tally.clone()), &rcu)?;
        }
        drop(map);
        assert!(tally.dropped() == 1);
        Ok(())
    }

    /// Runs `inside` at an event of a create of `owner` in `f`.
    fn create_with(
        f: &Fixture,
        owner: &Mock,
        event: Event,
        inside: &mut impl FnMut(),
    ) -> Result<Result<u64>> {
        trace::with_probe(event, owner.id().addr(), inside, || f.create(owner, 1))
    }

    #[test]
    fn the_loser_of_a_create_gets_the_winners() -> Result {
        let f = Fixture::new()?;
        let owner = Mock::new(1)?;
        let mut inner = Ok(0);
        let outer = create_with(&f, &owner, Event::Enter, &mut || {
            inner = f.create(&owner, 2)
        })?;
        assert!(inner == Ok(2));
        assert!(outer == Ok(2));
        assert!(f.elements() == 1);
        assert!(f.tally.wait_for(1));
        assert!(f.tally.made() == 2);
        Ok(())
    }

    #[test]
    fn recursion_on_the_owner_is_a_deadlock() -> Result {
        let f = Fixture::new()?;
        let g = Fixture::new()?;
        let owner = Mock::new(1)?;
        let mut inner = [Ok(0), Ok(0)];
        let outer = create_with(&f, &owner, Event::StorageLocked, &mut || {
            inner = [f.create(&owner, 2), g.create(&owner, 2)];
        })?;
        assert!(inner == [Err(EDEADLK), Err(EDEADLK)]);
        assert!(outer == Ok(1));
        assert!(f.map.raw().counters().deadlocks.get() == 1);
        assert!(f.create(&owner, 3) == Ok(1) && g.create(&owner, 3) == Ok(3));
        assert!(f.tally.wait_for(1));
        Ok(())
    }

    #[test]
    fn recursion_on_another_owner_succeeds() -> Result {
        let f = Fixture::new()?;
        let owner = Mock::new(1)?;
        let other = Mock::new(2)?;
        let mut inner = Ok(0);
        let outer = create_with(&f, &owner, Event::StorageLocked, &mut || {
            inner = f.create(&other, 2);
        })?;
        assert!(inner == Ok(2) && outer == Ok(1));
        Ok(())
    }

    #[test]
    fn delete_under_the_owners_lock_succeeds() -> Result {
        let f = Fixture::new()?;
        let g = Fixture::new()?;
        let owner = Mock::new(1)?;
        g.create(&owner, 5)?;
        let mut inner = None;
        let outer = create_with(&f, &owner, Event::StorageLocked, &mut || {
            let rcu = rcu::read_lock();
            inner = Some(g.map.delete(&*owner, &rcu).map(|value| value.number));
        })?;
        assert!(outer == Ok(1));
        assert!(inner == Some(Ok(5)));
        assert!(g.number(&owner).is_none());
        assert!(g.map.raw().counters().sum(|here| &here.deferred) == 1);
        assert!(g.tally.wait_for(0));
        Ok(())
    }

    #[test]
    fn bucket_lock_hinders_nobody() -> Result {
        let f = Fixture::new()?;
        let owner = Mock::new(1)?;
        f.create(&owner, 1)?;
        let mut inner = None;
        let at = owner.id().addr();
        trace::with_probe(
            Event::BucketLocked,
            at,
            &mut || {
                let created = f.create(&owner, 2);
                let rcu = rcu::read_lock();
                let deleted = f.map.delete(&*owner, &rcu).map(|value| value.number);
                inner = Some((created, deleted));
            },
            || f.map.delete(&*owner, &rcu::read_lock()).map(|_| ()),
        )??;
        assert!(inner == Some((Ok(2), Ok(2))));
        assert!(f.elements() == 0);
        assert!(f.tally.wait_for(0));
        Ok(())
    }

    #[test]
    fn replace_of_what_was_just_deleted() -> Result {
        for (mode, left) in [(Mode::Any, Some(2)), (Mode::Exist, None)] {
            let f = Fixture::new()?;
            let owner = Mock::new(1)?;
            f.create(&owner, 1)?;
            let at = owner.id().addr();
            let update = trace::with_probe(
                Event::Enter,
                at,
                &mut || {
                    let _ = f.map.delete(&*owner, &rcu::read_lock());
                },
                || {
                    let rcu = rcu::read_lock();
                    let value = f.tally.value(2);
                    let stored = f.map.update(&*owner, mode, value, &rcu)?;
                    Ok::<_, Refusal>(stored.created)
                },
            )?;
            assert!(update.ok() == left.map(|_| true));
            assert!(f.number(&owner) == left);
            assert!(f.tally.wait_for(left.map_or(0, |_| 1)));
        }
        Ok(())
    }

    #[test]
    fn last_delete_and_first_create_meet() -> Result {
        let f = Fixture::new()?;
        let owner = Mock::new(1)?;
        f.create(&owner, 1)?;
        let mut inner = Ok(0);
        let at = owner.id().addr();
        // The element is claimed but its storage is not empty yet: the lock is held.
        trace::with_probe(
            Event::StorageLocked,
            at,
            &mut || inner = f.create(&owner, 2),
            || f.map.delete(&*owner, &rcu::read_lock()).map(|_| ()),
        )??;
        assert!(inner == Err(LockError::Deadlock.into()));
        assert!(f.create(&owner, 3) == Ok(3));
        assert!(f.tally.wait_for(1));
        Ok(())
    }

    #[test]
    fn values_are_dropped_once() -> Result {
        let f = Fixture::new()?;
        let owners = {
            let mut owners = KVec::new();
            for n in 0..16 {
                owners.push(Mock::new(n)?, GFP_KERNEL)?;
            }
            owners
        };
        for round in 0..2000u64 {
            let owner = &owners[(round * 7 % 16) as usize];
            let rcu = rcu::read_lock();
            match round % 5 {
                0 | 3 => {
                    let new = || f.tally.value(round);
                    f.map.get_or_create(&**owner, new, &rcu)?;
                }
                1 => {
                    let value: Value = f.tally.value(round);
                    f.map.update(&**owner, Mode::Any, value, &rcu)?;
                }
                _ => {
                    let _ = f.map.delete(&**owner, &rcu);
                }
            }
        }
        let Fixture { map, tally } = f;
        let live = map.raw().counters().elements();
        assert!(tally.wait_for(live));
        drop(owners);
        assert!(tally.wait_for(0));
        drop(map);
        assert!(tally.made() == tally.dropped());
        Ok(())
    }
}
