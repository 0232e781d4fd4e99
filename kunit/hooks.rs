// SPDX-License-Identifier: GPL-2.0

//! Sockets whose notice of death ftrace drops.

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

    /// Ends `count` sockets that have a value, each but the first in the callback of an
    /// `ftrace_ops` for the end of another one. Returns how many notices of death came by ftrace's
    /// loop, and how many by the backstop; [`None`] if this kernel cannot serve sockets. The
    /// backstop is attached when it returns.
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
        // Else the end of the map takes the charge off a socket that was freed.
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
    fn two_nested_ends_have_a_notice() -> Result {
        let counts = end_nested(2)?;
        assert!(counts.is_none_or(|counts| counts == (2, 0)));
        Ok(())
    }

    #[test]
    fn the_backstop_notices_what_ftrace_drops() -> Result {
        // The first notice by the loop requests the backstop.
        end_nested(1)?;
        let counts = end_nested(5)?;
        assert!(counts.is_none_or(|counts| counts == (2, 3)));
        Ok(())
    }
}
