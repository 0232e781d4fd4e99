// SPDX-License-Identifier: GPL-2.0

//! Network namespaces as owners.
//!
//! The notice of death is the exit method of a `pernet_operations`. The kernel calls that for every
//! namespace that ends, and exports the registration, so there is no second notice. It comes a
//! grace period after the last put, and before the memory is freed. The gate is an RCU read section
//! that saw a finished namespace with a reference. The stamp is the namespace's cookie.

use super::{
    kinds,
    object::object,
    owner_ref::{
        Kind,
        Methods, //
    }, //
};
use crate::{
    shim,
    storage::{
        error::Refusal,
        owner::{
            Owner,
            OwnerId,
            OwnerOps,
            Visits, //
        }, //
    },
    sync::rcu::Guard,
    uapi::OSTOR_KIND_NETNS, //
};
use core::ffi::CStr;
use kernel::{
    bindings,
    error::to_result,
    prelude::*,
    sync::aref::ARef, //
};

pub(super) static OPS: OwnerOps = OwnerOps {
    kind: OSTOR_KIND_NETNS,
    number_of: |id, _| id.serial(),
    visits: Visits::Nothing,
};

static METHODS: Methods = Methods::of::<NetNs>(&OPS);

// SAFETY: The identity has the address of the object, which is that of the reference to it.
unsafe impl Kind for NetNs {
    const METHODS: &'static Methods = &METHODS;
}

object! {
    /// A network namespace: `struct net`.
    NetNs: bindings::net, shim::ostor_net_get, shim::ostor_net_put
}

impl NetNs {
    /// The namespace of descriptor `fd`. Fails with `EBADF` if that is no network namespace.
    pub(crate) fn of_fd(fd: i32) -> Result<ARef<Self>> {
        // SAFETY: An FFI call with no requirement in task context.
        let net = unsafe { shim::ostor_net_of_fd(fd) };
        // SAFETY: The function returned a reference that is now the result's, or an `ERR_PTR`.
        unsafe { Self::adopt(net) }
    }
}

/// The identity of the namespace at `net`, which must be valid.
#[inline(always)]
fn id(net: *mut bindings::net) -> OwnerId {
    // SAFETY: The namespace is valid, and has its cookie before any other thread can find it.
    let cookie = unsafe { net.byte_add(shim::OSTOR_NET_COOKIE).cast::<u64>().read() };
    // The bindings may have an opaque type without alignment. A `struct net` has pointers.
    OwnerId::new(net.cast::<*mut ()>(), OSTOR_KIND_NETNS, cookie)
}

// SAFETY:
// - The gate is the RCU read section that saw a reference. The notice comes a grace period after
//   the last put.
// - A reference count of 0 does not rise, and a finished namespace stays finished.
// - The kind is served only while `Hooks` exists, which is dropped after all maps.
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
        // SAFETY: The namespace is valid, by the type invariant.
        let is_alive = || unsafe { shim::ostor_net_alive(self.as_ptr()) };
        kinds::rcu_gate(&OPS, is_alive, rcu)
    }
}

/// # Safety
///
/// Called when the namespace `net` ends, or when the operations are unregistered.
unsafe extern "C" fn on_exit(net: *mut bindings::net) {
    // SAFETY: This is the namespace's notice of death. If the operations are unregistered, no map
    // is left.
    unsafe { kinds::death_notice(&OPS, id(net)) };
}

/// The hook of a namespace's death, attached until it is dropped. Attach and drop may sleep.
///
/// # Invariants
///
/// The operations are registered.
pub(super) struct Hooks(());

/// Attaches the hooks.
pub(super) fn attach() -> Result<Hooks> {
    // SAFETY: `on_exit` may be called for any namespace. The drop unregisters it before the module
    // goes. There is one `Hooks` at a time.
    to_result(unsafe { shim::ostor_net_hook_attach(Some(on_exit)) })?;
    // INVARIANT: Registered above.
    Ok(Hooks(()))
}

impl kinds::Hooks for Hooks {
    fn notice(&self) -> &'static CStr {
        c"pernet_operations"
    }

    /// Never called: the startup test makes no namespace.
    fn detach(&mut self) {}
}

impl Drop for Hooks {
    fn drop(&mut self) {
        // SAFETY: Registered by the type invariant.
        unsafe { shim::ostor_net_hook_detach() };
    }
}
