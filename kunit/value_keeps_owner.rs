// SPDX-License-Identifier: GPL-2.0

//! That the end of a map reports values that held the last reference to their own owner.

use crate::sync::compat::{
    ENODATA,
    EOPNOTSUPP, //
};
use kernel::prelude::*;

#[kunit_tests(ostor_value_keeps_owner)]
mod tests {
    use super::*;
    use crate::{
        owner::{
            kinds,
            socket::Socket,
            startup_test, //
        },
        storage::{
            create::Mode,
            map::Map,
            owner::Owner,
            value_keeps_owner::count_maps, //
        },
        sync::{
            deferred,
            rcu, //
        },
    };
    use kernel::{
        sync::aref::ARef,
        task::Task, //
    };

    fn give<T: Send + Sync>(map: &Map<T>, owner: &impl Owner, value: T) -> Result {
        map.update(owner, Mode::NoExist, value, &rcu::read_lock())?;
        Ok(())
    }

    /// A task's notice of death waits for no reference to the task.
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
        assert!(count_maps(|| drop(map)) == 0);
        Ok(())
    }

    /// Sockets that are freed when their last reference is put, and sockets that are freed a grace
    /// period later. A value is not reported if it held another reference than the last.
    #[test]
    fn a_socket_is_kept() -> Result {
        for (is_later, is_last) in [(false, true), (true, true), (false, false)] {
            let map = Map::<ARef<Socket>>::new()?;
            let socket = Socket::bare()?;
            if kinds::check_served(socket.ops()).is_err() {
                return Ok(());
            }
            if is_later {
                socket.free_by_rcu();
            }
            give(&map, &*socket, socket.clone())?;
            let other = (!is_last).then(|| socket.clone());
            drop(socket);
            assert!(count_maps(|| drop(map)) == u32::from(is_last));
            drop(other);
        }
        Ok(())
    }

    /// Works of the kernel hold references to a removed cgroup for a while. No function that the
    /// kernel exports waits for them, so the test waits longer and longer.
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
            if count_maps(|| drop(map)) == 1 {
                return Ok(());
            }
        }
        Err(ENODATA)
    }
}
