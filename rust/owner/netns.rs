// SPDX-License-Identifier: GPL-2.0

//! Network namespaces as owners.
//!
//! The kernel calls the exit method of every registered subsystem when a namespace ends: that is
//! the notice of death, exported and always called, so that there is no need for a second one. It
//! comes a grace period after the last reference went, and the memory goes after it. The gate is an
//! RCU read section that saw a reference. The stamp is the namespace's cookie.

use super::kinds;
use crate::{
    shim,
    storage::{
        error::Refusal,
        owner::{
            Kind,
            Owner,
            OwnerId, //
        },
        runtime::Runtime, //
    },
    sync::rcu::Guard,
    uapi::OSTOR_KIND_NETNS, //
};
use core::ptr::NonNull;
use kernel::{
    bindings,
    error::{
        from_err_ptr,
        to_result, //
    },
    prelude::*,
    sync::aref::{
        ARef,
        AlwaysRefCounted, //
    },
    types::Opaque, //
};

pub(super) static KIND: Kind = Kind {
    number: OSTOR_KIND_NETNS,
    number_of: |id, _| id.serial(),
    uncharge: None,
};

/// A network namespace: `struct net`.
///
/// # Invariants
///
/// There is a reference to it as long as there is a `&NetNs`.
#[repr(transparent)]
pub(crate) struct NetNs(Opaque<bindings::net>);

// SAFETY: References can be put on any thread.
unsafe impl Send for NetNs {}
// SAFETY: What is done with a shared reference, any thread may do.
unsafe impl Sync for NetNs {}

// SAFETY: `get_net()` and `put_net()` count references.
unsafe impl AlwaysRefCounted for NetNs {
    fn inc_ref(&self) {
        // SAFETY: There is a reference by the type invariant.
        unsafe { shim::ostor_net_get(self.0.get()) };
    }

    unsafe fn dec_ref(net: NonNull<Self>) {
        // SAFETY: The caller gives one reference up.
        unsafe { shim::ostor_net_put(net.cast().as_ptr()) };
    }
}

impl NetNs {
    /// The namespace of a descriptor. Fails with `EBADF` for any other descriptor.
    pub(crate) fn of_fd(fd: i32) -> Result<ARef<Self>> {
        // SAFETY: An FFI call with no requirement in task context.
        let net = from_err_ptr(unsafe { shim::ostor_net_of_fd(fd) })?;
        let net = NonNull::new(net.cast()).ok_or(EBADF)?;
        // SAFETY: The shim returned a reference, which is the result's from now on.
        Ok(unsafe { ARef::from_raw(net) })
    }
}

/// The identity of the namespace at `net`, which must be valid.
#[inline(always)]
fn id(net: *mut bindings::net) -> OwnerId {
    // SAFETY: Valid, and set before anybody can find the namespace.
    let cookie = unsafe { (*net).net_cookie };
    OwnerId::new(net, &KIND, cookie)
}

// SAFETY:
// - The gate is the RCU read section in which the namespace was seen referenced; see above for why
//   the notice comes after it.
// - A reference count of 0 stays so.
// - `Hooks` exists while the kind is served, and until all maps are gone.
unsafe impl Owner for NetNs {
    type Gate<'a> = &'a Guard;

    fn kind(&self) -> &'static Kind {
        &KIND
    }

    #[inline(always)]
    fn id(&self) -> OwnerId {
        id(self.0.get())
    }

    fn gate<'a>(&'a self, rcu: &'a Guard) -> Result<&'a Guard, Refusal> {
        kinds::check_served(&KIND)?;
        // SAFETY: Valid by the type invariant.
        if unsafe { shim::ostor_net_alive(self.0.get()) } {
            Ok(rcu)
        } else {
            Err(Refusal::OwnerDead)
        }
    }
}

/// # Safety
///
/// Called when the namespace `net` ends, or when the hook is detached.
unsafe extern "C" fn on_exit(net: *mut bindings::net) {
    if kinds::is_mute(&KIND) {
        return;
    }
    if let Some(runtime) = Runtime::get() {
        // SAFETY: The namespace's notice of death; when the hook is detached, no map is left.
        unsafe { runtime.owner_died(id(net)) };
    }
}

/// What tells of dying namespaces, attached until it is dropped. Both may sleep.
pub(super) struct Hooks(());

impl Hooks {
    pub(super) fn attach() -> Result<Self> {
        // SAFETY: The hook is detached before the module goes, and attached once.
        to_result(unsafe { shim::ostor_net_hook_attach(Some(on_exit)) })?;
        Ok(Self(()))
    }
}

impl Drop for Hooks {
    fn drop(&mut self) {
        // SAFETY: Attached by `attach`.
        unsafe { shim::ostor_net_hook_detach() };
    }
}
