// SPDX-License-Identifier: GPL-2.0

//! The module's tracepoints (`owner_storage:*`). One without a probe costs a patched-out jump,
//! where the architecture has jump labels.

use super::lock_order;
use crate::shim;
use core::ptr;
use kernel::{
    bindings,
    error::to_result,
    ffi::c_void,
    jump_label::static_branch_unlikely,
    prelude::*, //
};

/// An event.
#[derive(Copy, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// A create, update or delete begins; it holds no lock.
    Enter = shim::OSTOR_TRACE_ENTER as isize,
    /// This CPU has just taken the lock of an owner's storage.
    StorageLocked = shim::OSTOR_TRACE_STORAGE_LOCKED as isize,
    /// This CPU has just taken the lock of an owner's bucket.
    BucketLocked = shim::OSTOR_TRACE_BUCKET_LOCKED as isize,
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
                Event::StorageLocked => shim::ostor_trace_storage_locked(addr),
                Event::BucketLocked => shim::ostor_trace_bucket_locked(addr),
            }
        }
    };
    // A probe may take locks, and the section in which it runs may not.
    lock_order::outside(call);
}

/// Runs `body` on this task with `inside` called at the first `event` of the owner at `addr` that
/// `body` passes: in that context, with the locks held that the event names. Task context, may
/// sleep, but for `inside`.
#[cfg(OSTOR_TEST)]
pub(crate) fn with_probe<R>(
    event: Event,
    addr: usize,
    inside: &mut impl FnMut(),
    body: impl FnOnce() -> R,
) -> Result<R> {
    let probes = super::probes::Probes::new()?;
    let session = probes.session()?;
    Ok(session.with_probe(event, addr, inside, body))
}

/// Runs `body` with `listen` called with the owner's address at every `event`, whoever passes it:
/// in that context, with the locks held that the event names. May sleep, but for `listen`.
pub(crate) fn with_listener<R>(
    event: Event,
    listen: &(dyn Fn(usize) + Sync),
    body: impl FnOnce() -> R,
) -> Result<R> {
    let data = ptr::from_ref(&listen).cast_mut().cast::<c_void>();
    // SAFETY: `hear` has the events' prototype, and `listen` lives until it is unregistered below.
    to_result(unsafe { shim::ostor_trace_register(event as u32, Some(hear), data) })?;
    let result = body();
    // SAFETY: Undoes the registration above.
    unsafe { shim::ostor_trace_unregister(event as u32, Some(hear), data) };
    // SAFETY: An FFI call with no requirement; nobody listens after it.
    unsafe { shim::ostor_tracepoint_sync() };
    Ok(result)
}

/// # Safety
///
/// Called by a tracepoint only, with the data that [`with_listener`] registered.
unsafe extern "C" fn hear(data: *mut c_void, addr: usize) {
    // SAFETY: By the contract this is a reference that is valid as long as it is registered.
    let listen = unsafe { *data.cast::<&(dyn Fn(usize) + Sync)>() };
    listen(addr);
}
