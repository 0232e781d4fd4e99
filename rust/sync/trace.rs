// SPDX-License-Identifier: GPL-2.0

//! The module's tracepoints (`owner_storage:*`): a call and a patched-out jump while nobody
//! listens.

use super::lock_order;
use crate::shim;
use core::{
    cell::Cell,
    ptr, //
};
use kernel::{
    bindings,
    error::to_result,
    ffi::c_void,
    prelude::*,
    task::Task, //
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

/// Reports `event` for the owner at `addr`. Any context.
#[inline(always)]
pub(crate) fn event(event: Event, addr: usize) {
    let tell = || {
        // SAFETY: FFI calls with no requirement.
        unsafe {
            match event {
                Event::Enter => shim::ostor_trace_enter(addr),
                Event::StorageLocked => shim::ostor_trace_storage_locked(addr),
                Event::BucketLocked => shim::ostor_trace_bucket_locked(addr),
            }
        }
    };
    // A probe may do what the section around it may not.
    lock_order::outside(tell);
}

/// A function that runs once, inside an event of one task.
struct Probe<'a> {
    task: *mut bindings::task_struct,
    addr: usize,
    run: Cell<Option<&'a mut dyn FnMut()>>,
}

/// Runs `body` on this task with `inside` called at the first `event` of the owner at `addr` that
/// `body` passes: in that context, with the locks held that the event names. Task context, may
/// sleep, but for `inside`.
pub(crate) fn with_probe<R>(
    event: Event,
    addr: usize,
    inside: &mut dyn FnMut(),
    body: impl FnOnce() -> R,
) -> Result<R> {
    let probe = Probe {
        task: Task::current_raw(),
        addr,
        run: Cell::new(Some(inside)),
    };
    let data = ptr::from_ref(&probe).cast_mut().cast::<c_void>();
    // SAFETY: `fire` has the events' prototype, and `probe` lives until it is unregistered below.
    to_result(unsafe { shim::ostor_trace_register(event as u32, Some(fire), data) })?;
    let result = body();
    // SAFETY: Undoes the registration above.
    unsafe { shim::ostor_trace_unregister(event as u32, Some(fire), data) };
    // SAFETY: An FFI call with no requirement; no probe runs after it.
    unsafe { shim::ostor_tracepoint_sync() };
    Ok(result)
}

/// # Safety
///
/// Called by a tracepoint only, with the data that [`with_probe`] registered.
unsafe extern "C" fn fire(data: *mut c_void, addr: usize) {
    let probe = data.cast::<Probe<'_>>();
    // SAFETY: `with_probe` keeps the probe alive while it is registered, and these two fields
    // do not change.
    if unsafe { (*probe).task != Task::current_raw() || (*probe).addr != addr } {
        return;
    }
    // SAFETY: Only the task that made the probe comes here, and `with_probe` does not touch the
    // cell meanwhile.
    if let Some(run) = unsafe { (*probe).run.take() } {
        run();
    }
}
