// SPDX-License-Identifier: GPL-2.0

//! Network namespaces as owners.
//!
//! The kernel calls the exit method of every registered subsystem when a namespace ends: that is
//! the notice of death, exported and always called, so that there is no need for a second one. It
//! comes a grace period after the last reference went, and the memory goes after it. The gate is an
//! RCU read section that saw a reference of a finished namespace. The stamp is the namespace's
//! cookie.

use super::{
    kinds,
    object::object, //
};
use crate::{
    shim,
    storage::{
        error::Refusal,
        owner::{
            Owner,
            OwnerId,
            OwnerOps, //
        }, //
    },
    sync::rcu::Guard,
    uapi::OSTOR_KIND_NETNS, //
};
use kernel::{
    bindings,
    error::to_result,
    prelude::*,
    sync::aref::ARef, //
};

pub(super) static OPS: OwnerOps = OwnerOps {
    kind: OSTOR_KIND_NETNS,
    number_of: |id, _| id.serial(),
    uncharge: None,
};

object! {
    /// A network namespace: `struct net`.
    NetNs: bindings::net, shim::ostor_net_get, shim::ostor_net_put
}

impl NetNs {
    /// The namespace of a descriptor. Fails with `EBADF` for any other descriptor.
    pub(crate) fn of_fd(fd: i32) -> Result<ARef<Self>> {
        // SAFETY: An FFI call with no requirement in task context.
        let net = unsafe { shim::ostor_net_of_fd(fd) };
        // SAFETY: A reference, or an error.
        unsafe { Self::adopt(net) }
    }
}

/// The identity of the namespace at `net`, which must be valid.
#[inline(always)]
fn id(net: *mut bindings::net) -> OwnerId {
    // SAFETY: Valid, and set before anybody can find the namespace.
    let cookie = unsafe { net.byte_add(shim::OSTOR_NET_COOKIE).cast::<u64>().read() };
    // The type may be opaque here, with no alignment; it has pointers in it.
    OwnerId::new(net.cast::<*mut ()>(), &OPS, cookie)
}

// SAFETY:
// - The gate is the RCU read section in which the namespace was seen referenced; see above for why
//   the notice comes after it.
// - A reference count of 0 stays so, and a finished namespace stays finished.
// - `Hooks` exists while the kind is served, and until all maps are gone.
unsafe impl Owner for NetNs {
    type Gate<'a> = &'a Guard;

    fn ops(&self) -> &'static OwnerOps {
        &OPS
    }

    #[inline(always)]
    fn id(&self) -> OwnerId {
        id(self.as_ptr())
    }

    fn gate<'a>(&'a self, rcu: &'a Guard) -> Result<&'a Guard, Refusal> {
        // SAFETY: Valid by the type invariant.
        let is_alive = || unsafe { shim::ostor_net_alive(self.as_ptr()) };
        kinds::rcu_gate(&OPS, is_alive, rcu)
    }
}

/// # Safety
///
/// Called when the namespace `net` ends, or when the hook is detached.
unsafe extern "C" fn on_exit(net: *mut bindings::net) {
    // SAFETY: The namespace's notice of death; when the hook is detached, no map is left.
    unsafe { kinds::death_notice(&OPS, id(net)) };
}

/// What tells of dying namespaces, attached until it is dropped. Both may sleep.
pub(super) struct Hooks(());

impl kinds::Hooks for Hooks {
    const NOTICE: &'static str = "the exit of pernet_operations";

    fn attach() -> Result<Self> {
        // SAFETY: The hook is detached before the module goes, and attached once.
        to_result(unsafe { shim::ostor_net_hook_attach(Some(on_exit)) })?;
        Ok(Self(()))
    }

    /// Never asked for: there is nothing that the startup test could find out.
    fn detach(&mut self) {}
}

impl Drop for Hooks {
    fn drop(&mut self) {
        // SAFETY: Attached by `attach`.
        unsafe { shim::ostor_net_hook_detach() };
    }
}
