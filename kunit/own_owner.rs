// SPDX-License-Identifier: GPL-2.0

//! That a value which keeps its own owner is noticed, when the map ends and both go.

use crate::sync::compat::{
    ENODATA,
    EOPNOTSUPP, //
};
use kernel::prelude::*;

#[kunit_tests(ostor_own_owner)]
mod tests {
    use super::super::mock::Mock;
    use super::*;
    use crate::{
        owner::{
            kinds,
            socket::Socket,
            startup_test, //
        },
        storage::{
            create::Mode,
            kept::maps_in,
            map::Map,
            owner::Owner, //
        },
        sync::{
            deferred,
            rcu, //
        },
    };
    use kernel::{
        sync::{
            aref::ARef,
            Arc, //
        },
        task::Task,
    };

    /// An owner that dies with its last reference.
    type Counted = Arc<KBox<Mock>>;

    fn counted(serial: u64) -> Result<Counted> {
        Ok(Arc::new(Mock::new(serial)?, GFP_KERNEL)?)
    }

    fn give<T: Send + Sync>(map: &Map<T>, owner: &impl Owner, value: T) -> Result {
        map.update(owner, Mode::NoExist, value, &rcu::read_lock())?;
        Ok(())
    }

    #[test]
    fn a_value_that_keeps_its_owner() -> Result {
        let map = Map::<Counted>::new()?;
        for serial in 1..=3 {
            let owner = counted(serial)?;
            give(&map, &**owner, owner.clone())?;
        }
        // The owners are referred to by the values alone, and the map is told of once.
        assert!(maps_in(|| drop(map)) == 1);
        Ok(())
    }

    #[test]
    fn a_value_that_keeps_another_owner() -> Result {
        let map = Map::<Counted>::new()?;
        let (one, two) = (counted(1)?, counted(2)?);
        give(&map, &**one, two)?;
        assert!(maps_in(|| drop(map)) == 0);
        Ok(())
    }

    #[test]
    fn an_owner_that_is_kept_by_others_as_well() -> Result {
        let map = Map::<Counted>::new()?;
        let owner = counted(1)?;
        give(&map, &**owner, owner.clone())?;
        assert!(maps_in(|| drop(map)) == 0);
        Ok(())
    }

    /// A reference to a task does not keep its notice of death from coming.
    #[test]
    fn a_task_is_not_kept() -> Result {
        let map = Map::<ARef<Task>>::new()?;
        startup_test::end_task(|task| give(&map, task, ARef::from(task)))?;
        let deaths = || map.raw().counters().sum(|here| &here.owner_deaths);
        for _ in 0..500 {
            if deaths() != 0 {
                break;
            }
            deferred::sleep_10ms();
        }
        assert!(deaths() == 1);
        assert!(maps_in(|| drop(map)) == 0);
        Ok(())
    }

    /// Sockets that end at once, and sockets that end a grace period after their last reference.
    #[test]
    fn a_socket_is_kept() -> Result {
        for is_later in [false, true] {
            let map = Map::<ARef<Socket>>::new()?;
            let socket = Socket::bare()?;
            if kinds::check_served(socket.ops()).is_err() {
                return Ok(());
            }
            if is_later {
                socket.free_by_rcu();
            }
            give(&map, &*socket, socket.clone())?;
            drop(socket);
            assert!(maps_in(|| drop(map)) == 1);
        }
        Ok(())
    }

    /// The kernel's own works refer to a cgroup that was removed for a while, and no function of the
    /// kernel lets this test wait for them.
    #[test]
    #[cfg(CONFIG_DYNAMIC_FTRACE_WITH_ARGS)]
    fn a_cgroup_is_kept() -> Result {
        for pauses in [10, 100, 500] {
            let map = Map::new()?;
            let kept = startup_test::end_cgroup(|cgroup| {
                kinds::check_served(cgroup.ops())?;
                give(&map, cgroup, ARef::from(cgroup))
            });
            match kept {
                Err(EOPNOTSUPP) => return Ok(()),
                kept => kept?,
            }
            (0..pauses).for_each(|_| deferred::sleep_10ms());
            if maps_in(|| drop(map)) == 1 {
                return Ok(());
            }
        }
        Err(ENODATA)
    }
}
