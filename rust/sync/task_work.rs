// SPDX-License-Identifier: GPL-2.0

//! What the current task does before it returns to user space.

use crate::shim;
use kernel::{
    bindings,
    prelude::*,
    types::Opaque, //
};

/// What is to be dropped.
///
/// # Invariants
///
/// From when it is queued until `run` has it, it belongs to the task.
#[repr(C)]
struct Postponed<T> {
    // First: `run` comes back from it to the whole.
    head: Opaque<bindings::callback_head>,
    value: T,
}

/// Drops `value` when the current task returns to user space or ends, after all that it has to do
/// there now. In a kernel thread, or without memory, drops it at once. Process context; may sleep.
///
/// Unloading the module does not wait for the task: it has to wait for what the drop does, and
/// after that the drop must not sleep.
pub(crate) fn drop_on_return<T>(value: T) {
    let head = Opaque::uninit();
    let Ok(postponed) = KBox::new(Postponed { head, value }, GFP_KERNEL) else {
        return;
    };
    let postponed = KBox::into_raw(postponed);
    // SAFETY: Just allocated; `run` comes once if it is queued, in this task.
    if !unsafe { shim::ostor_task_work_add((*postponed).head.get(), Some(run::<T>)) } {
        // SAFETY: It was not queued.
        drop(unsafe { KBox::from_raw(postponed) });
    }
}

/// # Safety
///
/// Called for the head of a `Postponed<T>` that was queued.
unsafe extern "C" fn run<T>(head: *mut bindings::callback_head) {
    // SAFETY: By the contract, and the head is the first field.
    drop(unsafe { KBox::from_raw(head.cast::<Postponed<T>>()) });
}
