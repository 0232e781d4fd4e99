// SPDX-License-Identifier: GPL-2.0

//! One owner's elements in all maps: listed, inherited, renamed, and left behind.

use kernel::prelude::*;

#[kunit_tests(ostor_storage_owners)]
mod tests {
    use super::super::inject::inject;
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
            map::Map,
            owner::{
                Owner,
                OwnerId, //
            },
            runtime::Runtime, //
        },
        sync::{
            fault::Site,
            rcu,
            trace::{
                self,
                Event, //
            }, //
        },
    };

    fn runtime() -> Result<&'static Runtime> {
        Runtime::get().ok_or(ENODEV)
    }

    /// The numbers of the maps the owner has elements in, as a walk in pieces finds them.
    fn maps_of(owner: &Mock) -> Result<KVec<u64>> {
        let mut maps = KVec::new();
        let mut after = 0;
        while let Some(map) = {
            let rcu = rcu::read_lock();
            let elem = runtime()?.next_of(owner.id(), after, &rcu);
            elem.map(|elem| elem.map().id())
        } {
            maps.push(map, GFP_KERNEL)?;
            after = map;
        }
        Ok(maps)
    }

    #[test]
    fn an_owner_lists_its_maps_in_order() -> Result {
        let owner = Mock::new(1)?;
        assert!(maps_of(&owner)?.is_empty());
        let mut maps = KVec::new();
        for _ in 0..20 {
            maps.push(Fixture::new()?, GFP_KERNEL)?;
        }
        for (n, f) in maps.iter().enumerate().rev() {
            f.create(&owner, n as u64)?;
        }
        let listed = maps_of(&owner)?;
        assert!(listed.len() == 20);
        assert!(listed
            .iter()
            .zip(&maps)
            .all(|(id, f)| *id == f.map.raw().id()));
        for f in maps.iter().step_by(2) {
            assert!(f.map.delete(&*owner, &rcu::read_lock()).is_ok());
        }
        assert!(maps_of(&owner)?.len() == 10);
        Ok(())
    }

    /// Between two steps of a walk, all is replaced, one is deleted and one is new.
    #[test]
    fn what_lives_throughout_is_listed_once() -> Result {
        let owner = Mock::new(1)?;
        let maps = [Fixture::new()?, Fixture::new()?, Fixture::new()?];
        for f in &maps {
            f.create(&owner, 1)?;
        }
        let mut seen = [0; 3];
        let mut after = 0;
        loop {
            let rcu = rcu::read_lock();
            let Some(elem) = runtime()?.next_of(owner.id(), after, &rcu) else {
                break;
            };
            after = elem.map().id();
            drop(rcu);
            for (n, f) in maps.iter().enumerate() {
                seen[n] += u32::from(f.map.raw().id() == after);
                let rcu = rcu::read_lock();
                f.map.update(&*owner, Mode::Exist, f.tally.value(2), &rcu)?;
            }
            let other = Fixture::new()?;
            other.create(&owner, 3)?;
        }
        assert!(seen == [1, 1, 1]);
        Ok(())
    }

    #[test]
    fn a_child_inherits_from_maps_that_clone() -> Result {
        let (plain, one, two) = (Fixture::new()?, Fixture::cloning()?, Fixture::cloning()?);
        let (parent, child) = (Mock::new(1)?, Mock::charged(2, 1 << 20)?);
        for f in [&plain, &one, &two] {
            f.create(&parent, 7)?;
        }
        runtime()?.inherit(parent.id(), &*child);
        assert!(plain.number(&child).is_none());
        assert!(one.number(&child) == Some(7) && two.number(&child) == Some(7));
        assert!(one.map.raw().counters().sum(|here| &here.clones) == 1);
        assert!(one.elements() == 2 && plain.elements() == 1);
        assert!(child.charge_now() > 2 * one.map.raw().element_size() as u32);
        // From now on the two are apart.
        let rcu = rcu::read_lock();
        one.map
            .update(&*parent, Mode::Any, one.tally.value(8), &rcu)?;
        drop(rcu);
        assert!(one.number(&child) == Some(7));
        assert!(child.die() && child.charge_now() == 0);
        assert!(one.number(&parent) == Some(8));
        assert!(one.tally.wait_for(1) && two.tally.wait_for(1));
        Ok(())
    }

    #[test]
    fn a_copy_that_fails_is_counted() -> Result {
        let (one, two) = (Fixture::cloning()?, Fixture::cloning()?);
        let (parent, child) = (Mock::new(1)?, Mock::new(2)?);
        one.create(&parent, 7)?;
        two.create(&parent, 7)?;
        let fault = inject(Site::ElementAlloc, 1)?;
        runtime()?.inherit(parent.id(), &*child);
        drop(fault);
        let failed = |f: &Fixture| f.map.raw().counters().sum(|here| &here.clone_failures);
        assert!(failed(&one) == 1 && failed(&two) == 0);
        assert!(one.number(&child).is_none() && two.number(&child) == Some(7));
        let poor = Mock::charged(3, 16)?;
        runtime()?.inherit(parent.id(), &*poor);
        assert!(failed(&one) == 2 && failed(&two) == 1);
        assert!(poor.charge_now() == 0);
        Ok(())
    }

    /// The map ends while a child of one of its owners is made: nothing is left, and the end does
    /// not wait for the child's death.
    #[test]
    fn a_copy_into_a_map_that_ends() -> Result {
        let tally = Tally::new()?;
        let mut map = Some(Map::<Value>::new_cloning()?);
        let (parent, child) = (Mock::new(1)?, Mock::new(2)?);
        if let Some(map) = &map {
            let rcu = rcu::read_lock();
            map.update(&*parent, Mode::Any, tally.value(7), &rcu)?;
            map.raw().announce_end();
        }
        let inherit = || {
            if let Some(runtime) = Runtime::get() {
                runtime.inherit(parent.id(), &*child);
            }
        };
        inherit();
        assert!(map
            .as_ref()
            .is_some_and(|map| map.get(&*child, &rcu::read_lock()).is_none()));
        map.take();
        assert!(tally.made() == 2 && tally.dropped() == 2);
        assert!(maps_of(&child)?.is_empty());
        Ok(())
    }

    #[test]
    fn a_new_name_finds_all() -> Result {
        let (one, two) = (Fixture::new()?, Fixture::new()?);
        let mut owner = Mock::new(1)?;
        one.create(&owner, 1)?;
        two.create(&owner, 2)?;
        let old = owner.id();
        owner.become_another();
        assert!(one.number(&owner).is_none());
        runtime()?.rename(old, owner.id());
        assert!(one.number(&owner) == Some(1) && two.number(&owner) == Some(2));
        assert!(maps_of(&owner)?.len() == 2);
        assert!(owner.die());
        assert!(one.tally.wait_for(0) && two.tally.wait_for(0));
        Ok(())
    }

    /// What a lost notice leaves behind ends when the next owner at the address shows up, by a
    /// create or by its death.
    #[test]
    fn what_was_left_behind_ends() -> Result {
        let stale = runtime()?.stats.sum(|here| &here.stale);
        let f = Fixture::new()?;
        let mut owner = Mock::new(1)?;
        f.create(&owner, 1)?;
        owner.become_another();
        assert!(f.number(&owner).is_none());
        assert!(f.create(&owner, 2) == Ok(2));
        assert!(f.number(&owner) == Some(2));
        assert!(runtime()?.stats.sum(|here| &here.stale) == stale + 1);
        assert!(f.elements() == 1 && f.tally.wait_for(1));
        owner.become_another();
        assert!(!owner.die());
        assert!(runtime()?.stats.sum(|here| &here.stale) == stale + 2);
        assert!(f.elements() == 0 && f.tally.wait_for(0));
        Ok(())
    }

    /// The next owner is not charged for what the one before it left, nor given that back.
    #[test]
    fn what_was_left_behind_is_not_given_back() -> Result {
        let before = runtime()?.stats.sum(|here| &here.charged);
        let f = Fixture::new()?;
        let mut owner = Mock::charged(1, 1 << 20)?;
        f.create(&owner, 1)?;
        let bytes = owner.charge_now();
        owner.become_another();
        f.create(&owner, 2)?;
        // The mock's counter still has the first owner's charge, which a real one would not.
        assert!(owner.charge_now() == 2 * bytes);
        assert!(runtime()?.stats.sum(|here| &here.charged) == before + u64::from(bytes));
        assert!(owner.die());
        assert!(owner.charge_now() == bytes);
        assert!(runtime()?.stats.sum(|here| &here.charged) == before);
        Ok(())
    }

    /// Two kinds with the same serial number at one address are two owners.
    #[test]
    fn kinds_are_apart() -> Result {
        let mut owner = Mock::new(5)?;
        let free = owner.id();
        owner.set_limit(1 << 20);
        assert!(free.addr() == owner.id().addr() && free.serial() == owner.id().serial());
        assert!(free != owner.id());
        assert!(OwnerId::SERIAL_MAX == u64::MAX >> 4);
        Ok(())
    }

    /// A walk that stands still where an update is half done sees one of the two elements.
    #[test]
    fn a_walk_inside_an_update() -> Result {
        let f = Fixture::new()?;
        let owner = Mock::new(1)?;
        f.create(&owner, 1)?;
        let mut listed = 0;
        let mut look = || {
            let rcu = rcu::read_lock();
            let elem = Runtime::get().and_then(|runtime| runtime.next_of(owner.id(), 0, &rcu));
            listed += u32::from(elem.is_some());
        };
        let at = owner.id().addr();
        trace::with_probe(Event::StorageLocked, at, &mut look, || {
            let rcu = rcu::read_lock();
            let value = f.tally.value(2);
            f.map.update(&*owner, Mode::Any, value, &rcu).map(|_| ())
        })??;
        assert!(listed == 1);
        Ok(())
    }
}
