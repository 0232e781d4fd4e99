// SPDX-License-Identifier: GPL-2.0

//! Tasks as owners.
//!
//! A task's notice of death is the tracepoint `sched_process_free`. It fires in an RCU callback
//! that is queued when the last of the task's `rcu_users` goes; whoever saw one left, in an RCU
//! read section, is therefore done before the notice begins. The memory goes another grace period
//! later at the earliest. A tracepoint, unlike a probe, never skips a call.
//!
//! A task that `copy_process()` has not finished has two `rcu_users` already, and no notice comes
//! if the fork fails. The gate refuses it; `Documentation/owners.rst` says how it is told. Idle
//! tasks are let through without `rcu_users`: they never die.
//!
//! A lost notice would hand the values on to the next task at the address, so there is a second,
//! independent one: the backstop is the entry of `bpf_task_storage_free()`, which the
//! kernel calls just before the memory goes. It finds something only if the first one was lost,
//! and counts that.

use super::{
    hook::{
        FtraceHook,
        TracepointProbe, //
    },
    kinds, //
};
use crate::{
    shim,
    storage::{
        error::Refusal,
        owner::{
            Owner,
            OwnerId,
            OwnerOps, //
        }, //
    },
    sync::{
        nolock::Payer,
        rcu::Guard, //
    },
    uapi::OSTOR_KIND_TASK, //
};
use core::ptr;
use kernel::{
    bindings,
    ffi::c_void,
    prelude::*,
    task::Task, //
};

pub(super) static OPS: OwnerOps = OwnerOps {
    kind: OSTOR_KIND_TASK,
    number_of: pid,
    uncharge: None,
};

/// The identity of the task at `task`: its address alone.
///
/// There is nothing to stamp it with. What tells two tasks apart, pid and start time, is not a
/// task's for life: when a thread that is not the leader calls `execve()`, `de_thread()` gives it
/// those of the leader. Its values must survive that, and would not be found again.
#[inline(always)]
fn id(task: *const bindings::task_struct) -> OwnerId {
    OwnerId::new(task, &OPS, 0)
}

/// The task's thread id in the initial pid namespace.
///
/// # Safety
///
/// As [`OwnerOps::number_of`].
unsafe fn pid(id: OwnerId, _rcu: &Guard) -> u64 {
    let task = ptr::with_exposed_provenance::<bindings::task_struct>(id.addr());
    // The notice comes from `delayed_put_task_struct()`, which has a reference to the task until the
    // notice has returned. When the last reference goes, `put_task_struct()` frees the task by
    // another `call_rcu()`. Read once, since `de_thread()` writes it.
    //
    // SAFETY: The notice had not returned when the guard was taken, so the guard keeps the memory.
    let pid = unsafe { (&raw const (*task).pid).read_volatile() };
    u64::from(pid.unsigned_abs())
}

// SAFETY:
// - The gate is the RCU read section in which `rcu_users` was seen above 0; see above for why the
//   notice comes after it. An idle task has no notice.
// - `rcu_users` does not rise again, and a finished task stays finished.
// - `Hooks` exists while the kind is served, and until all maps are gone.
// - `pid` is sound to call as it says.
unsafe impl Owner for Task {
    type Gate<'a> = &'a Guard;

    fn ops(&self) -> &'static OwnerOps {
        &OPS
    }

    #[inline(always)]
    fn id(&self) -> OwnerId {
        id(self.as_ptr())
    }

    fn gate<'a>(&'a self, rcu: &'a Guard) -> Result<&'a Guard, Refusal> {
        // SAFETY: A `&Task` is a valid task.
        let is_alive = || unsafe { shim::ostor_task_alive(self.as_ptr()) };
        kinds::rcu_gate(&OPS, is_alive, rcu)
    }

    /// The memory cgroup that the task is in now.
    fn payer<'a>(&self, rcu: &'a Guard) -> Payer<'a> {
        // SAFETY: A `&Task` is a valid task, and the guard an RCU read section.
        let memcg = unsafe { shim::ostor_task_memcg(self.as_ptr()) };
        // SAFETY: Valid under RCU.
        unsafe { Payer::new(memcg, rcu) }
    }
}

/// # Safety
///
/// Called by the tracepoint `sched_process_free` only.
unsafe extern "C" fn on_process_free(_data: *mut c_void, task: *mut bindings::task_struct) {
    // SAFETY: The task's notice of death.
    unsafe { kinds::death_notice(&OPS, id(task)) };
}

/// # Safety
///
/// Called at the entry of `bpf_task_storage_free()` only, with its argument.
unsafe extern "C" fn on_task_storage_free(task: usize, _: usize) {
    // SAFETY: The task's second notice of death.
    unsafe { kinds::backstop_notice(id(ptr::without_provenance(task))) };
}

/// What tells of dying tasks, attached until it is dropped. Both may sleep.
pub(super) struct Hooks {
    notice: Option<TracepointProbe>,
    backstop: Option<FtraceHook>,
}

impl kinds::Hooks for Hooks {
    const NOTICE: &'static str = "the tracepoint sched_process_free";

    fn attach() -> Result<Self> {
        let probe = on_process_free as *mut c_void;
        // SAFETY: The probe of this tracepoint.
        let notice = unsafe { TracepointProbe::attach(c"sched_process_free", probe) }?;
        // SAFETY: The hook of this function.
        let backstop =
            unsafe { FtraceHook::attach(c"bpf_task_storage_free", on_task_storage_free) };
        Ok(Self {
            notice: Some(notice),
            backstop: kinds::optional("backstop for dead tasks", backstop),
        })
    }

    fn detach(&mut self) {
        self.notice = None;
        FtraceHook::detach_or_pin(&mut self.backstop);
    }

    fn backstop(&mut self) -> Option<&mut Option<FtraceHook>> {
        Some(&mut self.backstop)
    }
}
