// SPDX-License-Identifier: GPL-2.0

//! Hooks of the last put of a reference to an owner. By these the test flavour sees that a value
//! held the last reference to its own owner.
//!
//! The notice of death comes later, from an RCU callback or a work. The functions that are hooked
//! here are called by the thread that puts the reference. Tasks are left out: their notice waits
//! for no reference.

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
/// May only be called as the hook of a function whose first argument is the owner.
unsafe extern "C" fn on_owner(owner: usize, _: usize) {
    note_last_put(owner);
}

/// # Safety
///
/// May only be called as the hook of `css_release()`.
unsafe extern "C" fn on_css(count: usize, _: usize) {
    // SAFETY: The argument of `css_release()` is the count of a `struct cgroup_subsys_state`.
    let cgroup = unsafe { shim::ostor_cgroup_of_ref(ptr::with_exposed_provenance_mut(count)) };
    if !cgroup.is_null() {
        note_last_put(cgroup.addr());
    }
}

/// The hooks, attached until it is dropped. Attach and drop may sleep.
pub(crate) struct LastPuts {
    _hooks: [Option<FtraceHook>; 3],
}

impl LastPuts {
    /// Attaches the hooks of the functions that this kernel has.
    pub(crate) fn attach() -> Self {
        let optional = |hook| kinds::optional("hook of an owner's last put", hook);
        Self {
            _hooks: [
                // SAFETY: The first argument is a socket.
                optional(unsafe { FtraceHook::attach(c"sk_free", on_owner) }),
                // SAFETY: The first argument is a network namespace.
                optional(unsafe { FtraceHook::attach(c"__put_net", on_owner) }),
                // SAFETY: `on_css` is the hook of this function.
                optional(unsafe { FtraceHook::attach(c"css_release", on_css) }),
            ],
        }
    }
}
