// SPDX-License-Identifier: GPL-2.0

//! How old what a reader holds gets.

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

    /// Waits for an age, a second at most. The guard of `held` is held.
    fn becomes(held: &Held<'_>, age: i8) -> bool {
        (0..1000).any(|_| {
            clock::busy_wait(1000);
            held.age() == Some(age)
        })
    }

    /// The reaper comes to what is dead, and waits for the reader that holds it.
    #[test]
    fn what_is_held_does_not_become_older_than_one() -> Result {
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
        assert!(f.tally.wait_for(0));
        Ok(())
    }
}
