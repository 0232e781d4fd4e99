// SPDX-License-Identifier: GPL-2.0

//! Maps as modules in Rust make and drop them.

use kernel::prelude::*;

#[kunit_tests(ostor_module_maps)]
mod tests {
    use super::*;
    use crate::{
        api::{
            Map,
            Mode,
            OwnerSlot, //
        },
        owner::socket,
        storage::runtime::Runtime,
        sync::{
            compat::EOPNOTSUPP,
            rcu, //
        }, //
    };

    /// This module.
    fn this_module() -> &'static ThisModule {
        #[cfg(not(OSTOR_LINUX_7_2))]
        return kernel::module::this_module::<crate::OwnerStorage>();
        #[cfg(OSTOR_LINUX_7_2)]
        return &crate::THIS_MODULE;
    }

    #[test]
    fn a_new_map_frees_two_that_were_dropped_in_drops() -> Result {
        let maps = &Runtime::get().ok_or(ENODEV)?.stats.maps;
        let new = || Map::<u64>::new(this_module());
        let owner = KBox::pin_init(OwnerSlot::new(), GFP_KERNEL)?;
        let holder = KBox::new(Map::<[Map<u64>; 5]>::new(this_module())?, GFP_KERNEL)?;
        let before = maps.get();
        let held = [new()?, new()?, new()?, new()?, new()?];
        holder.update(&*owner, Mode::Any, held, &rcu::read_lock())?;
        holder.delete(&*owner, &rcu::read_lock())?;
        crate::api::flush();
        assert!(maps.get() == before + 5);
        let _first = new()?;
        assert!(maps.get() == before + 1 + 3);
        let _second = new()?;
        assert!(maps.get() == before + 2 + 1);
        let _third = new()?;
        assert!(maps.get() == before + 3);
        Ok(())
    }

    #[test]
    fn maps_that_clone_need_the_hooks_of_accepted_sockets() -> Result {
        let new = || Map::<u64>::new_cloning(this_module()).map(drop);
        assert!(socket::without_clones(new) == Err(EOPNOTSUPP));
        assert!(new() == socket::check_clones());
        Ok(())
    }
}
