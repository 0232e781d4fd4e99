// SPDX-License-Identifier: GPL-2.0

//! Work that the current task runs before it returns to user space.

use crate::shim;
use kernel::{
    bindings,
    prelude::*,
    types::Opaque, //
};

/// A task_work that drops a value.
///
/// # Invariants
///
/// From when it is queued until `run` frees it, the task that queued it owns it.
#[repr(C)]
struct DropWork<T> {
    // The first field, which `run` casts to the whole.
    head: Opaque<bindings::callback_head>,
    value: T,
}

/// Drops `value` when the current task returns to user space or ends, after the task_work that is
/// queued already. In a kernel thread, or if there is no memory, drops it at once. Process context.
/// May sleep.
///
/// The unloading of the module does not wait for the task. It has to wait for an effect of the
/// drop, after which the drop must not sleep.
pub(crate) fn drop_on_return<T>(value: T) {
    let head = Opaque::uninit();
    let Ok(work) = KBox::new(DropWork { head, value }, GFP_KERNEL) else {
        return;
    };
    let work = KBox::into_raw(work);
    // SAFETY: Allocated above. If it is queued, this task calls `run` once.
    if !unsafe { shim::ostor_task_work_add((*work).head.get(), Some(run::<T>)) } {
        // SAFETY: It was not queued, so `run` is not called.
        drop(unsafe { KBox::from_raw(work) });
    }
}

/// # Safety
///
/// `head` must be that of a `DropWork<T>` that was queued. Called once for it.
unsafe extern "C" fn run<T>(head: *mut bindings::callback_head) {
    // SAFETY: By the contract, and since the head is the first field, it is the address of a boxed
    // `DropWork<T>`, which this function owns.
    drop(unsafe { KBox::from_raw(head.cast::<DropWork<T>>()) });
}
