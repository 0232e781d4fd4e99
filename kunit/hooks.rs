// SPDX-License-Identifier: GPL-2.0

//! Notices of death that ftrace drops.

use crate::sync::compat::ENODATA;
use kernel::prelude::*;

#[kunit_tests(ostor_hooks)]
mod tests {
    use super::*;
    use crate::{
        owner::{
            kinds,
            socket::{
                self,
                Socket, //
            }, //
        },
        storage::{
            create::Mode,
            map::ByteMap,
            owner::Owner,
            runtime::Runtime, //
        },
        sync::rcu, //
    };

    /// Ends so many sockets that have a value, one inside the other, and returns how many notices
    /// were shared, and how many came by the backstop; nothing if this kernel has no such hooks.
    /// When it returns, the backstop is attached.
    fn end_nested(count: usize) -> Result<Option<(u64, u64)>> {
        let runtime = Runtime::get().ok_or(ENODEV)?;
        let map = KBox::new(ByteMap::new(size_of::<u64>())?, GFP_KERNEL)?;
        let mut sockets = KVec::with_capacity(count, GFP_KERNEL)?;
        let mut ids = KVec::with_capacity(count, GFP_KERNEL)?;
        for _ in 0..count {
            let socket = Socket::bare()?;
            if kinds::check_served(socket.ops()).is_err() {
                return Ok(None);
            }
            map.put(&*socket, Mode::NoExist, &[], &rcu::read_lock())?;
            ids.push(socket.id(), GFP_KERNEL)?;
            sockets.push(socket, GFP_KERNEL)?;
        }
        let now = || (socket::shared(), runtime.stats.late_free.get());
        let before = now();
        Socket::end_nested(sockets)?;
        let after = now();
        let missed = ids.iter().filter(|id| runtime.has_storage(**id)).count();
        // The end of the map must not give the charge back to what is no socket any more.
        for id in &ids {
            runtime.owner_gone(*id);
        }
        drop(map);
        if missed > 0 {
            pr_err!("of {count} nested ends of sockets, {missed} were missed\n");
            return Err(ENODATA);
        }
        Ok(Some((after.0 - before.0, after.1 - before.1)))
    }

    #[test]
    fn two_nested_ends_are_told_of() -> Result {
        let counts = end_nested(2)?;
        assert!(counts.is_none_or(|counts| counts == (2, 0)));
        Ok(())
    }

    #[test]
    fn what_ftrace_drops_is_made_up_for() -> Result {
        // The first shared notice has the backstop attached.
        end_nested(1)?;
        let counts = end_nested(5)?;
        assert!(counts.is_none_or(|counts| counts == (2, 3)));
        Ok(())
    }
}
