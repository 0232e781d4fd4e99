// SPDX-License-Identifier: GPL-2.0

//! What operations return and change.

use kernel::prelude::*;

#[kunit_tests(ostor_storage_ops)]
mod tests {
    use super::super::mock::{
        Fixture,
        Mock, //
    };
    use super::*;
    use crate::{
        storage::{
            create::Mode,
            element::VALUE_SIZE_MAX,
            error::Refusal,
            map::{
                ByteMap,
                Map, //
            },
            owner::Owner,
            walk::Cursor, //
        },
        sync::rcu, //
    };

    #[test]
    fn get_misses_what_is_not_there() -> Result {
        let f = Fixture::new()?;
        let owner = Mock::new(1)?;
        assert!(f.number(&owner).is_none());
        assert!(f.elements() == 0);
        Ok(())
    }

    #[test]
    fn create_then_get() -> Result {
        let f = Fixture::new()?;
        let owner = Mock::new(1)?;
        assert!(f.create(&owner, 7)? == 7);
        assert!(f.number(&owner) == Some(7));
        assert!(f.elements() == 1);
        Ok(())
    }

    #[test]
    fn create_again_gets_the_first() -> Result {
        let f = Fixture::new()?;
        let owner = Mock::new(1)?;
        assert!(f.create(&owner, 7)? == 7);
        assert!(f.create(&owner, 8)? == 7);
        assert!(f.tally.made() == 1);
        Ok(())
    }

    #[test]
    fn owners_are_apart() -> Result {
        let f = Fixture::new()?;
        let mut owners = KVec::new();
        for n in 0..64 {
            let owner = Mock::new(n)?;
            f.create(&owner, n)?;
            owners.push(owner, GFP_KERNEL)?;
        }
        assert!(f.elements() == 64);
        for (n, owner) in owners.iter().enumerate() {
            assert!(f.number(owner) == Some(n as u64));
        }
        Ok(())
    }

    #[test]
    fn one_owner_in_many_maps() -> Result {
        let owner = Mock::new(1)?;
        let mut maps = KVec::new();
        for n in 0..40 {
            let f = Fixture::new()?;
            f.create(&owner, n)?;
            maps.push(f, GFP_KERNEL)?;
        }
        for (n, f) in maps.iter().enumerate() {
            assert!(f.number(&owner) == Some(n as u64));
        }
        Ok(())
    }

    #[test]
    fn update_modes() -> Result {
        let f = Fixture::new()?;
        let owner = Mock::new(1)?;
        let update = |mode, number| {
            let value = f.tally.value(number);
            let rcu = rcu::read_lock();
            let stored = f.map.update(&*owner, mode, value, &rcu)?;
            Ok::<_, Refusal>((stored.value.number, stored.created))
        };
        assert!(update(Mode::Exist, 1) == Err(Refusal::Missing));
        assert!(update(Mode::NoExist, 2) == Ok((2, true)));
        assert!(update(Mode::NoExist, 3) == Err(Refusal::Exists));
        assert!(f.number(&owner) == Some(2));
        assert!(update(Mode::Exist, 4) == Ok((4, false)));
        assert!(update(Mode::Any, 5) == Ok((5, false)));
        assert!(f.number(&owner) == Some(5));
        assert!(f.elements() == 1);
        assert!(f.tally.wait_for(1));
        Ok(())
    }

    #[test]
    fn update_keeps_the_number() -> Result {
        let f = Fixture::new()?;
        let owner = Mock::new(1)?;
        let rcu = rcu::read_lock();
        let first = f
            .map
            .update(&*owner, Mode::Any, f.tally.value(1), &rcu)?
            .seq;
        let second = f
            .map
            .update(&*owner, Mode::Any, f.tally.value(2), &rcu)?
            .seq;
        assert!(first == second);
        f.map.delete(&*owner, &rcu)?;
        let third = f
            .map
            .update(&*owner, Mode::Any, f.tally.value(3), &rcu)?
            .seq;
        assert!(third > second);
        Ok(())
    }

    #[test]
    fn delete_once() -> Result {
        let f = Fixture::new()?;
        let owner = Mock::new(1)?;
        f.create(&owner, 7)?;
        {
            let rcu = rcu::read_lock();
            let gone = f.map.delete(&*owner, &rcu)?;
            assert!(f.map.get(&*owner, &rcu).is_none());
            assert!(gone.number == 7);
            assert!(f.map.delete(&*owner, &rcu).err() == Some(Refusal::Missing));
        }
        assert!(f.elements() == 0);
        assert!(f.tally.wait_for(0));
        assert!(f.create(&owner, 8)? == 8);
        Ok(())
    }

    #[test]
    fn values_outlive_their_readers() -> Result {
        let f = Fixture::new()?;
        let owner = Mock::new(1)?;
        f.create(&owner, 7)?;
        let rcu = rcu::read_lock();
        let value = f.map.get(&*owner, &rcu).ok_or(ENOENT)?;
        f.map.delete(&*owner, &rcu)?;
        assert!(f.tally.dropped() == 0);
        assert!(value.number == 7);
        drop(rcu);
        assert!(f.tally.wait_for(0));
        Ok(())
    }

    #[test]
    fn too_large_is_refused_at_once() -> Result {
        assert!(ByteMap::new(0).err() == Some(EINVAL));
        assert!(ByteMap::new(VALUE_SIZE_MAX + 1).err() == Some(E2BIG));
        assert!(Map::<[u64; 1024]>::new().err() == Some(E2BIG));
        let map = ByteMap::new(VALUE_SIZE_MAX)?;
        let owner = Mock::new(1)?;
        let rcu = rcu::read_lock();
        assert!(map.put(&*owner, Mode::Any, &[1, 2], &rcu).is_ok());
        Ok(())
    }

    #[test]
    fn bytes_are_filled_up_with_zeroes() -> Result {
        let map = ByteMap::new(5)?;
        let owner = Mock::new(1)?;
        let rcu = rcu::read_lock();
        let stored = map.put(&*owner, Mode::Any, &[1, 2], &rcu)?;
        assert!(stored.value == [1, 2, 0, 0, 0]);
        Ok(())
    }

    #[test]
    fn walk_sees_each_once() -> Result {
        let f = Fixture::new()?;
        let mut owners = KVec::new();
        for n in 0..96 {
            let owner = Mock::new(n)?;
            f.create(&owner, n)?;
            owners.push(owner, GFP_KERNEL)?;
        }
        let mut seen = KVec::from_elem(0u8, 96, GFP_KERNEL)?;
        let mut cursor = Cursor::default();
        let mut steps = 0;
        loop {
            let rcu = rcu::read_lock();
            let Some((_, label)) = f.map.raw().next(&mut cursor, &rcu) else {
                break;
            };
            seen[label.id as usize] += 1;
            // Even ones are replaced all the time, multiples of three go as the walk gets on.
            if steps % 2 == 0 {
                let value = f.tally.value(1000);
                f.map
                    .update(&*owners[steps & !1], Mode::Exist, value, &rcu)?;
            }
            if steps % 3 == 0 && steps % 2 == 1 {
                f.map.delete(&*owners[steps], &rcu)?;
            }
            steps += 1;
        }
        for (n, times) in seen.iter().enumerate() {
            let goes = n % 3 == 0 && n % 2 == 1;
            assert!(*times == 1 || goes && *times == 0);
        }
        Ok(())
    }

    #[test]
    fn identity_is_address_and_stamp() -> Result {
        let f = Fixture::new()?;
        let mut owner = Mock::new(1)?;
        f.create(&owner, 7)?;
        let before = owner.id();
        owner.become_another();
        assert!(f.number(&owner).is_none());
        assert!(f.elements() == 1);
        assert!(f.map.raw().find(before, &rcu::read_lock()).is_some());
        assert!(f.create(&owner, 8)? == 8);
        assert!(f.number(&owner) == Some(8));
        Ok(())
    }
}
