// SPDX-License-Identifier: GPL-2.0

//! The module's tracepoints (`owner_storage:*`). One without a probe costs a patched-out jump,
//! where the architecture has jump labels.

use super::lock_order;
use crate::shim;
use kernel::{
    bindings,
    jump_label::static_branch_unlikely, //
};

/// An event.
#[derive(Copy, Clone, PartialEq, Eq)]
pub enum Event {
    /// A create, update or delete begins; it holds no lock.
    Enter = shim::OSTOR_EVENT_ENTER as isize,
    /// This CPU has just taken the lock of an owner's storage.
    StorageLocked = shim::OSTOR_EVENT_STORAGE_LOCKED as isize,
    /// This CPU has just taken the lock of an owner's bucket.
    BucketLocked = shim::OSTOR_EVENT_BUCKET_LOCKED as isize,
}

/// Whether a tracepoint has a probe.
macro_rules! is_on {
    ($tracepoint:ident) => {
        // SAFETY: The static is a `struct tracepoint` of the shim, and its field `key` is a static
        // key.
        unsafe { static_branch_unlikely!(shim::$tracepoint, bindings::tracepoint, key) }
    };
}

/// Reports `event` for the owner at `addr`. Any context.
#[inline(always)]
pub(crate) fn event(event: Event, addr: usize) {
    let has_probe = match event {
        Event::Enter => is_on!(__tracepoint_ostor_enter),
        Event::StorageLocked => is_on!(__tracepoint_ostor_storage_locked),
        Event::BucketLocked => is_on!(__tracepoint_ostor_bucket_locked),
    };
    if has_probe {
        call_probes(event, addr);
    }
}

#[cold]
#[inline(never)]
fn call_probes(event: Event, addr: usize) {
    let call = || {
        // SAFETY: FFI calls with no requirement.
        unsafe {
            match event {
                Event::Enter => shim::ostor_trace_enter(addr),
                Event::StorageLocked | Event::BucketLocked => {
                    shim::ostor_trace_locked(event as u32, addr);
                }
            }
        }
    };
    // A probe may take locks, and the section in which it runs may not.
    lock_order::outside(call);
}
