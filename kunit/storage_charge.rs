// SPDX-License-Identifier: GPL-2.0

//! What owners are charged, and that they get all of it back.

use kernel::prelude::*;

#[kunit_tests(ostor_storage_charge)]
mod tests {
    use super::super::inject::inject;
    use super::super::mock::{
        Fixture,
        Mock, //
    };
    use super::*;
    use crate::{
        storage::{
            create::Mode,
            error::Refusal,
            owner::Owner,
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

    const ROOM: u32 = 1 << 20;

    fn charged() -> Result<u64> {
        Ok(Runtime::get()
            .ok_or(ENODEV)?
            .stats
            .sum(|here| &here.charged))
    }

    fn bytes(f: &Fixture) -> u32 {
        f.map.raw().element_size() as u32
    }

    fn update(f: &Fixture, owner: &Mock, number: u64) -> Result {
        let rcu = rcu::read_lock();
        f.map
            .update(owner, Mode::Any, f.tally.value(number), &rcu)?;
        Ok(())
    }

    fn delete(f: &Fixture, owner: &Mock) -> Result {
        f.map.delete(owner, &rcu::read_lock())?;
        Ok(())
    }

    #[test]
    fn each_element_is_charged_and_given_back() -> Result {
        let before = charged()?;
        let (one, two) = (Fixture::new()?, Fixture::new()?);
        let owner = Mock::charged(1, ROOM)?;
        one.create(&owner, 1)?;
        let first = owner.charge_now();
        assert!(first > bytes(&one));
        assert!(charged()? == before + u64::from(first));
        two.create(&owner, 2)?;
        assert!(owner.charge_now() == first + bytes(&two));
        delete(&one, &owner)?;
        assert!(owner.charge_now() == first);
        delete(&two, &owner)?;
        assert!(owner.charge_now() == 0);
        assert!(charged()? == before);
        Ok(())
    }

    #[test]
    fn a_refusal_changes_nothing() -> Result {
        let (one, two) = (Fixture::new()?, Fixture::new()?);
        let mut owner = Mock::charged(1, 16)?;
        assert!(one.create(&owner, 1) == Err(ENOMEM));
        assert!(owner.charge_now() == 0);
        assert!(one.elements() == 0 && one.tally.wait_for(0));
        owner.set_limit(ROOM);
        one.create(&owner, 1)?;
        let full = owner.charge_now();
        owner.set_limit(full);
        assert!(two.create(&owner, 2) == Err(ENOMEM));
        assert!(owner.charge_now() == full);
        assert!(two.elements() == 0 && two.tally.wait_for(0));
        assert!(two.map.raw().counters().nomem.get() == 1);
        Ok(())
    }

    #[test]
    fn an_update_needs_no_room() -> Result {
        let f = Fixture::new()?;
        let mut owner = Mock::charged(1, ROOM)?;
        f.create(&owner, 1)?;
        let full = owner.charge_now();
        owner.set_limit(full);
        for number in 2..10 {
            update(&f, &owner, number)?;
            assert!(f.number(&owner) == Some(number));
            assert!(owner.charge_now() == full);
        }
        delete(&f, &owner)?;
        assert!(owner.charge_now() == 0);
        Ok(())
    }

    #[test]
    fn the_end_of_a_map_gives_back() -> Result {
        let (one, two) = (Fixture::new()?, Fixture::new()?);
        let owner = Mock::charged(1, ROOM)?;
        one.create(&owner, 1)?;
        let first = owner.charge_now();
        two.create(&owner, 2)?;
        drop(two);
        assert!(owner.charge_now() == first);
        drop(one);
        assert!(owner.charge_now() == 0);
        Ok(())
    }

    #[test]
    fn death_gives_back_before_it_returns() -> Result {
        let before = charged()?;
        let (one, two) = (Fixture::new()?, Fixture::new()?);
        let owner = Mock::charged(1, ROOM)?;
        one.create(&owner, 1)?;
        two.create(&owner, 2)?;
        assert!(owner.die());
        assert!(owner.charge_now() == 0);
        assert!(charged()? == before);
        drop(one);
        assert!(owner.charge_now() == 0);
        Ok(())
    }

    /// The charge goes with the claim: no lock that fails keeps it.
    #[test]
    fn locks_that_fail_keep_no_element_charged() -> Result {
        let (one, two) = (Fixture::new()?, Fixture::new()?);
        let owner = Mock::charged(1, ROOM)?;
        one.create(&owner, 1)?;
        let first = owner.charge_now();
        two.create(&owner, 2)?;
        let faults = [inject(Site::UnlinkLock, -1)?, inject(Site::BucketLock, -1)?];
        delete(&two, &owner)?;
        assert!(owner.charge_now() == first);
        drop(faults);
        assert!(two.tally.wait_for(0));
        assert!(owner.charge_now() == first);
        drop(one);
        assert!(owner.charge_now() == 0);
        Ok(())
    }

    /// The update finds the old element deleted, and has no charge to take over.
    #[test]
    fn an_update_races_a_delete() -> Result {
        for room in [0, ROOM] {
            let (f, keep) = (Fixture::new()?, Fixture::new()?);
            let mut owner = Mock::charged(1, ROOM)?;
            keep.create(&owner, 0)?;
            let least = owner.charge_now();
            f.create(&owner, 1)?;
            owner.set_limit(least + room);
            let owner = &*owner;
            let mut delete = || {
                let _ = f.map.delete(owner, &rcu::read_lock());
            };
            let raced =
                trace::with_probe(Event::StorageLocked, owner.id().addr(), &mut delete, || {
                    let rcu = rcu::read_lock();
                    let value = f.tally.value(2);
                    let stored = f.map.update(owner, Mode::Any, value, &rcu);
                    stored.map(|_| ())
                })?;
            if room == 0 {
                // The delete left no element and gave its room to nobody else.
                assert!(raced == Err(Refusal::NoMemory));
                assert!(f.number(owner).is_none());
                assert!(owner.charge_now() == least);
            } else {
                assert!(raced == Ok(()));
                assert!(f.number(owner) == Some(2));
                assert!(owner.charge_now() == least + bytes(&f));
            }
        }
        Ok(())
    }

    #[test]
    fn what_was_not_stored_is_not_charged() -> Result {
        let f = Fixture::new()?;
        let owner = Mock::charged(1, ROOM)?;
        for site in [Site::ElementAlloc, Site::StorageAlloc, Site::LinkLock] {
            let _fault = inject(site, 1)?;
            assert!(f.create(&owner, 1).is_err());
            assert!(owner.charge_now() == 0);
        }
        f.create(&owner, 1)?;
        let full = owner.charge_now();
        let rcu = rcu::read_lock();
        let again = f.map.update(&*owner, Mode::NoExist, f.tally.value(2), &rcu);
        assert!(again.err() == Some(Refusal::Exists));
        drop(rcu);
        assert!(owner.charge_now() == full);
        Ok(())
    }
}
