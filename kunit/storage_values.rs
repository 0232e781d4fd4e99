// SPDX-License-Identifier: GPL-2.0

//! Values of a type: when they are made, how large they may be, and where they are dropped.

use kernel::prelude::*;

#[kunit_tests(ostor_storage_values)]
mod tests {
    use super::super::mock::{
        Fixture,
        Mock,
        ValueCounts, //
    };
    use super::*;
    use crate::{
        storage::{
            create::Mode,
            element::VALUE_SIZE_MAX,
            map::{
                ByteMap,
                Map, //
            }, //
        },
        sync::rcu, //
    };

    /// A get-or-create that finds a value, or a dead owner, makes none.
    #[test]
    fn a_value_is_made_only_to_be_stored() -> Result {
        let f = Fixture::new()?;
        let owner = Mock::new(1)?;
        assert!(f.create(&owner, 7) == Ok(7));
        assert!(f.create(&owner, 8) == Ok(7));
        owner.die();
        assert!(f.create(&owner, 9) == Err(ESRCH));
        assert!(f.values.made() == 1);
        Ok(())
    }

    /// The kernel's allocator has memory for the largest value. A larger type is refused as the map
    /// is made.
    #[test]
    fn the_largest_value_is_stored() -> Result {
        assert!(Map::<[u64; 1024]>::new().err() == Some(E2BIG));
        let map = KBox::new(ByteMap::new(VALUE_SIZE_MAX)?, GFP_KERNEL)?;
        let owner = Mock::new(1)?;
        let is_stored = {
            let rcu = rcu::read_lock();
            map.put(&*owner, Mode::Any, &[1, 2], &rcu).is_ok()
        };
        assert!(is_stored);
        Ok(())
    }

    /// The end of a map waits for the drops of its values, which may sleep.
    #[test]
    fn the_end_of_a_map_waits_for_drops_that_sleep() -> Result {
        struct Sleeper(ValueCounts);

        impl Drop for Sleeper {
            fn drop(&mut self) {
                rcu::synchronize_rcu();
                drop(self.0.value(0));
            }
        }

        let values = ValueCounts::new()?;
        let map = Map::<Sleeper>::new()?;
        let owner = Mock::new(1)?;
        {
            let rcu = rcu::read_lock();
            map.get_or_create(&*owner, || Sleeper(values.clone()), &rcu)?;
        }
        drop(map);
        assert!(values.dropped() == 1);
        Ok(())
    }
}
