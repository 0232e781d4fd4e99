// SPDX-License-Identifier: GPL-2.0

//! Owners without their type.

use kernel::prelude::*;

#[kunit_tests(ostor_owner_ref)]
mod tests {
    use super::*;
    use crate::{
        owner::{
            kinds,
            owner_ref::OwnerRef,
            socket::Socket, //
        },
        storage::owner::Owner,
        sync::rcu, //
    };

    /// Another operation generates the cookie of a socket between the two steps of a create: that
    /// takes the identity, and then the gate.
    #[test]
    fn the_gate_sees_a_cookie_that_is_new() -> Result {
        let socket = Socket::bare()?;
        if kinds::check_served(socket.ops()).is_err() {
            return Ok(());
        }
        let early = OwnerRef::new(&*socket);
        let rcu = rcu::read_lock();
        let before = early.id();
        socket.gate(&rcu)?;
        assert!(before != socket.id());
        early.gate(&rcu)?;
        assert!(early.id() == socket.id());
        Ok(())
    }
}
