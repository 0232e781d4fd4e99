// SPDX-License-Identifier: GPL-2.0

//! Tasks as owners.
//!
//! A task's notice of death is the tracepoint `sched_process_free`. An RCU callback passes it,
//! which is queued when the last of the task's `rcu_users` is put. So an RCU read section that saw
//! a user ends before the notice begins. The memory is freed another grace period later at the
//! earliest. A tracepoint, unlike a kprobe, never misses a call.
//!
//! A task that `copy_process()` has not finished has two `rcu_users` already, and no notice comes
//! if the fork fails. The gate refuses it; `Documentation/owners.rst` says how it is recognised.
//! The gate lets idle tasks through without `rcu_users`, since they never die.
//!
//! After a lost notice the next task at the address would have the values. So there is a second,
//! independent notice: the backstop is the entry of `bpf_task_storage_free()`, which the kernel
//! calls just before it frees the memory. It finds values only if the first notice was lost, and
//! counts that.

use super::{
    kinds,
    owner_ref::{
        Kind,
        Methods, //
    },
    two_notices::TwoNotices, //
};
use crate::{
    shim,
    storage::{
        error::Refusal,
        owner::{
            Owner,
            OwnerId,
            OwnerOps,
            Visits, //
        }, //
    },
    sync::{
        nolock::Payer,
        rcu::Guard, //
    },
    uapi::OSTOR_KIND_TASK, //
};
use core::ptr::{
    self,
    NonNull, //
};
use kernel::{
    bindings,
    error::from_err_ptr,
    ffi::c_void,
    fs::LocalFile,
    prelude::*,
    sync::aref::ARef,
    task::Task, //
};

/// The calling thread.
pub(crate) fn current() -> ARef<Task> {
    // SAFETY: The calling thread is a valid task as long as it runs this.
    let task = unsafe { &*Task::current_raw().cast::<Task>() };
    ARef::from(task)
}

/// The task of a pidfd: the thread itself for one opened with `PIDFD_THREAD`, else the leader.
///
/// Fails with `EBADF` for any other descriptor, and with `ESRCH` if the task has been reaped.
pub(crate) fn of_pidfd(fd: i32) -> Result<ARef<Task>> {
    let fd = u32::try_from(fd).map_err(|_| EBADF)?;
    let file = LocalFile::fget(fd).map_err(|_| EBADF)?;
    // SAFETY: The file is valid while `file` lives.
    let task = from_err_ptr(unsafe { shim::ostor_task_of_pidfd(file.as_ptr()) })?;
    let task = NonNull::new(task.cast::<Task>()).ok_or(ESRCH)?;
    // SAFETY: The function returned a reference that is now the result's.
    Ok(unsafe { ARef::from_raw(task) })
}

pub(super) static OPS: OwnerOps = OwnerOps {
    kind: OSTOR_KIND_TASK,
    number_of: pid,
    visits: Visits::Nothing,
};

static METHODS: Methods = Methods::of::<Task>(&OPS);

// SAFETY: The identity has the address of the object, which is that of the reference to it.
unsafe impl Kind for Task {
    const METHODS: &'static Methods = &METHODS;
}

/// The identity of the task at `task`: its address alone.
///
/// A task has nothing to make a stamp of. Pid and start time may change during its life: when a
/// thread that is not the leader calls `execve()`, `de_thread()` gives it those of the leader. Its
/// values have to survive that, and would not be found under the new stamp.
#[inline(always)]
fn id(task: *const bindings::task_struct) -> OwnerId {
    OwnerId::new(task, OSTOR_KIND_TASK, 0)
}

/// The task's thread id in the initial pid namespace.
///
/// # Safety
///
/// As [`OwnerOps::number_of`].
unsafe fn pid(id: OwnerId, _rcu: &Guard) -> u64 {
    let task = ptr::with_exposed_provenance::<bindings::task_struct>(id.addr());
    // The notice comes from `delayed_put_task_struct()`, which holds a reference to the task until
    // the notice has returned. After the last put, `put_task_struct()` frees the task by another
    // `call_rcu()`. The read is volatile, since `de_thread()` may write the pid.
    //
    // SAFETY: The notice had not returned when the guard was taken, by the contract. So the guard
    // keeps the task.
    let pid = unsafe { (&raw const (*task).pid).read_volatile() };
    u64::from(pid.unsigned_abs())
}

// SAFETY:
// - The gate is the RCU read section that saw `rcu_users` above 0. The notice comes in an RCU
//   callback that is queued when it falls to 0. An idle task has no notice.
// - `rcu_users` does not rise from 0, and a finished task stays finished.
// - The kind is served only while `Hooks` exists, which is dropped after all maps.
// - `pid` reads memory that is freed a grace period after the notice has returned.
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
        // SAFETY: A `&Task` is a valid task, and the guard is an RCU read section.
        let memcg = unsafe { shim::ostor_task_memcg(self.as_ptr()) };
        // SAFETY: The function returned null, or a memory cgroup that is valid under the guard.
        unsafe { Payer::new(memcg, rcu) }
    }
}

/// # Safety
///
/// May only be called as the probe of the tracepoint `sched_process_free`.
unsafe extern "C" fn on_process_free(_data: *mut c_void, task: *mut bindings::task_struct) {
    // SAFETY: This is the task's notice of death.
    unsafe { kinds::death_notice(&OPS, id(task)) };
}

/// # Safety
///
/// May only be called as the hook of `bpf_task_storage_free()`.
unsafe extern "C" fn on_task_storage_free(task: usize, _: usize) {
    // SAFETY: This is the task's second notice of death.
    unsafe { kinds::backstop_notice(id(ptr::without_provenance(task))) };
}

/// The hooks of a task's death.
pub(super) type Hooks = TwoNotices;

/// Attaches the hooks.
pub(super) fn attach() -> Result<Hooks> {
    // SAFETY: `on_process_free` has the prototype of this tracepoint's probes,
    // `on_task_storage_free` is the hook of this function, and both may be called anywhere.
    unsafe {
        TwoNotices::attach(
            c"sched_process_free",
            on_process_free as *mut c_void,
            c"bpf_task_storage_free",
            on_task_storage_free,
            "backstop for dead tasks",
        )
    }
}
