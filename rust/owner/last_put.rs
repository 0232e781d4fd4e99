// SPDX-License-Identifier: GPL-2.0

//! Where the last reference to an owner is put: for tests, which look whether a value had it.
//!
//! The notice of death comes later, from an RCU callback or a work. What is hooked here is called by
//! whoever puts the reference. Tasks are left out: their notice waits for no reference.

use super::{
    hook::FtraceHook,
    kinds, //
};
use crate::{
    shim,
    storage::drops::note_last_put, //
};
use core::ptr;

/// # Safety
///
/// Called at the entry of a function only that gets the owner as its first argument.
unsafe extern "C" fn on_owner(owner: usize, _: usize) {
    note_last_put(owner);
}

/// # Safety
///
/// Called at the entry of `css_release()` only, with its argument.
unsafe extern "C" fn on_css(count: usize, _: usize) {
    // SAFETY: By the contract, it is the count of a `struct cgroup_subsys_state`.
    let cgroup = unsafe { shim::ostor_cgroup_of_ref(ptr::with_exposed_provenance_mut(count)) };
    if !cgroup.is_null() {
        note_last_put(cgroup.addr());
    }
}

/// The hooks, attached until it is dropped. Both may sleep.
pub(crate) struct LastPuts {
    _hooks: [Option<FtraceHook>; 3],
}

impl LastPuts {
    /// Attaches what this kernel has the functions of.
    pub(crate) fn attach() -> Self {
        let optional = |hook| kinds::optional("sight of an owner's last reference", hook);
        Self {
            _hooks: [
                // SAFETY: It gets a socket.
                optional(unsafe { FtraceHook::attach(c"sk_free", on_owner) }),
                // SAFETY: It gets a network namespace.
                optional(unsafe { FtraceHook::attach(c"__put_net", on_owner) }),
                // SAFETY: The hook of this function.
                optional(unsafe { FtraceHook::attach(c"css_release", on_css) }),
            ],
        }
    }
}
