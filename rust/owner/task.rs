// SPDX-License-Identifier: GPL-2.0

//! Tasks as owners.
//!
//! A task's notice of death is the tracepoint `sched_process_free`. It fires in an RCU callback
//! that is queued when the last of the task's `rcu_users` goes; whoever saw one left, in an RCU
//! read section, is therefore done before the notice begins. The memory goes another grace period
//! later at the earliest. A tracepoint, unlike a probe, never skips a call.
//!
//! A lost notice would hand the values on to the next task at the address, so there is a second,
//! independent one: the backstop is the entry of `bpf_task_storage_free()`, which the
//! kernel calls just before the memory goes. It finds something only if the first one was lost,
//! and counts that.

use crate::{
    shim,
    storage::{
        owner::{
            Label,
            Owner,
            OwnerId, //
        },
        runtime::Runtime, //
    },
    sync::{
        fault::{
            self,
            Point, //
        },
        rcu::Guard, //
    },
    uapi::OSTOR_KIND_TASK, //
};
use core::{
    ffi::CStr,
    ptr::{
        self,
        NonNull, //
    }, //
};
use kernel::{
    bindings,
    error::{
        from_err_ptr,
        to_result, //
    },
    ffi::c_void,
    prelude::*,
    str::CStrExt,
    task::Task, //
};

/// The identity of the task at `task`: its address alone.
///
/// There is nothing to stamp it with. What tells two tasks apart, pid and start time, is not a
/// task's for life: when a thread that is not the leader calls `execve()`, `de_thread()` gives it
/// those of the leader. Its values must survive that, and would not be found again.
#[inline(always)]
fn id(task: *const bindings::task_struct) -> OwnerId {
    OwnerId::new(task, 0)
}

// SAFETY:
// - The gate is the RCU read section in which `rcu_users` was seen above 0; see above for why the
//   notice comes after it.
// - `rcu_users` does not rise again, and what a task needs besides (a pid or an exit state) it
//   does not lose.
// - `TaskHooks` exists before anybody can create, and until all maps are gone.
unsafe impl Owner for Task {
    type Gate<'a> = &'a Guard;

    #[inline(always)]
    fn id(&self) -> OwnerId {
        id(self.as_ptr())
    }

    unsafe fn label(id: OwnerId, _rcu: &Guard) -> Label {
        let task = ptr::with_exposed_provenance::<bindings::task_struct>(id.addr());
        // The memory goes a grace period after the notice at the earliest, which had not begun
        // when the guard was taken. Read once, since `de_thread()` writes it.
        //
        // SAFETY: Valid for that reason.
        let pid = unsafe { (&raw const (*task).pid).read_volatile() };
        Label {
            kind: OSTOR_KIND_TASK,
            id: u64::from(pid.unsigned_abs()),
        }
    }

    fn gate<'a>(&'a self, rcu: &'a Guard) -> Option<&'a Guard> {
        // SAFETY: A `&Task` is a valid task.
        unsafe { shim::ostor_task_alive(self.as_ptr()) }.then_some(rcu)
    }
}

/// # Safety
///
/// Called by the tracepoint `sched_process_free` only.
unsafe extern "C" fn on_process_free(_data: *mut c_void, task: *mut bindings::task_struct) {
    if fault::skip(Point::DeathNotice) {
        return;
    }
    if let Some(runtime) = Runtime::get() {
        runtime.owner_died(id(task));
    }
}

/// # Safety
///
/// Called at the entry of `bpf_task_storage_free()` only, with its argument.
unsafe extern "C" fn on_task_storage_free(task: usize) {
    let Some(runtime) = Runtime::get() else {
        return;
    };
    if runtime.owner_died(id(ptr::without_provenance(task))) {
        runtime.stats.late_free.add(1);
    }
}

/// What tells of dying tasks, attached until it is dropped. Both may sleep.
pub(crate) struct TaskHooks {
    notice: NonNull<bindings::tracepoint>,
    backstop: Option<NonNull<c_void>>,
}

// SAFETY: Attaching and detaching are not tied to a thread.
unsafe impl Send for TaskHooks {}
// SAFETY: There is nothing to do with a shared reference.
unsafe impl Sync for TaskHooks {}

impl TaskHooks {
    const NOTICE: &CStr = c"sched_process_free";
    const BACKSTOP: &CStr = c"bpf_task_storage_free";

    /// Attaches the notice, and the backstop if the kernel can.
    ///
    /// Fails with `EOPNOTSUPP` if the kernel does not have the tracepoint.
    pub(crate) fn attach() -> Result<Self> {
        // SAFETY: A string, which the function does not keep.
        let notice = unsafe { shim::ostor_tracepoint_find(Self::NOTICE.as_char_ptr()) };
        let notice = NonNull::new(notice).ok_or(EOPNOTSUPP)?;
        let probe = on_process_free as *mut c_void;
        // SAFETY: A tracepoint of the kernel itself stays, and the probe has its prototype.
        to_result(unsafe {
            bindings::tracepoint_probe_register(notice.as_ptr(), probe, ptr::null_mut())
        })?;
        let function = Self::BACKSTOP.as_char_ptr();
        // SAFETY: A string, which the function does not keep, and a function that lives until the
        // hook is detached.
        let hook = unsafe { shim::ostor_entry_hook_attach(function, Some(on_task_storage_free)) };
        let backstop = from_err_ptr(hook).ok().and_then(NonNull::new);
        if backstop.is_none() {
            pr_info!("no backstop for lost notices of dead tasks on this kernel\n");
        }
        Ok(Self { notice, backstop })
    }
}

impl Drop for TaskHooks {
    fn drop(&mut self) {
        if let Some(hook) = self.backstop {
            // SAFETY: Attached by `attach`.
            unsafe { shim::ostor_entry_hook_detach(hook.as_ptr()) };
        }
        let probe = on_process_free as *mut c_void;
        // SAFETY: Registered by `attach`.
        unsafe {
            bindings::tracepoint_probe_unregister(self.notice.as_ptr(), probe, ptr::null_mut())
        };
        // SAFETY: An FFI call with no requirement; no probe runs after it.
        unsafe { shim::ostor_tracepoint_sync() };
    }
}
