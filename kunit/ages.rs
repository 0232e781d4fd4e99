// SPDX-License-Identifier: GPL-2.0

//! The reaper does not free what a reader holds: the age of an object shows it.

use kernel::prelude::*;

#[kunit_tests(ostor_ages)]
mod tests {
    use super::super::mock::{
        Fixture,
        Mock, //
    };
    use super::*;
    use crate::{
        storage::{
            held::Held,
            owner::Owner,
            runtime::Runtime, //
        },
        sync::{
            clock,
            rcu, //
        },
    };

    /// Waits ten seconds at most until `held` has this age: the host may run little of the guest's
    /// other CPU meanwhile. Returns whether it has. Does not sleep: the caller is in a read
    /// section.
    fn becomes(held: &Held<'_>, age: i8) -> bool {
        (0..10_000).any(|_| {
            clock::busy_wait(1000);
            held.age() == Some(age)
        })
    }

    /// A reader holds an element and a storage that die. The reaper unlinks both, and waits for the
    /// reader's section to end.
    #[test]
    fn what_a_reader_holds_does_not_become_older_than_one() -> Result {
        let f = Fixture::new()?;
        let owner = Mock::new(1)?;
        let runtime = Runtime::get().ok_or(ENODEV)?;
        f.create(&owner, 1)?;
        {
            let rcu = rcu::read_lock();
            let elem = f.map.raw().held(owner.id(), &rcu).next().ok_or(ENOENT)?;
            let storage = runtime.held(owner.id(), &rcu).next().ok_or(ENOENT)?;
            assert!(elem.age() == Some(0) && storage.age() == Some(0));
            f.map.delete(&*owner, &rcu)?;
            assert!(becomes(&elem, 1) && becomes(&storage, 1));
            assert!(!(0..50).any(|_| {
                clock::busy_wait(1000);
                elem.age() != Some(1) || storage.age() != Some(1)
            }));
        }
        assert!(f.values.wait_for(0));
        Ok(())
    }
}
