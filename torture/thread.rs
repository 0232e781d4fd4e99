// SPDX-License-Identifier: GPL-2.0

//! Kernel threads that stay on one CPU each, for the length of a call.

use crate::sync::{
    self,
    counter::Counter,
    Atomic,
    Relaxed, //
};
use core::{
    ffi::c_int,
    ptr::{
        self,
        NonNull, //
    }, //
};
use kernel::{
    bindings,
    error::from_err_ptr,
    ffi::c_void,
    prelude::*, //
};

/// Tells threads to end.
pub(crate) struct Stop(Atomic<bool>);

impl Stop {
    /// Whether it is time to end.
    pub(crate) fn is_asked(&self) -> bool {
        self.0.load(Relaxed)
    }
}

/// Runs `each` in a thread on each of `cpus`, and `body` meanwhile; then asks the threads to end,
/// which `each` has to look at, and returns when all have. May sleep.
///
/// No `each` begins before the last thread runs: one that keeps its CPU for long, with interrupts
/// off, might delay the creation of the next thread.
pub(crate) fn with_threads<R>(
    cpus: &[u32],
    each: &(dyn Fn(u32, &Stop) + Sync),
    body: impl FnOnce() -> R,
) -> Result<R> {
    let stop = Stop(Atomic::new(false));
    let arrived = Counter::new();
    let mut jobs = KVec::with_capacity(cpus.len(), GFP_KERNEL)?;
    for &cpu in cpus {
        let job = Job {
            cpu,
            each,
            stop: &stop,
            arrived: &arrived,
            all: cpus.len() as u64,
        };
        jobs.push(job, GFP_KERNEL)?;
    }
    // Declared after what the threads use, so that it ends before.
    let mut threads = Threads {
        stop: &stop,
        tasks: KVec::with_capacity(cpus.len(), GFP_KERNEL)?,
    };
    for job in &jobs {
        threads.start(job)?;
    }
    let result = body();
    drop(threads);
    Ok(result)
}

struct Job<'a> {
    cpu: u32,
    each: &'a (dyn Fn(u32, &Stop) + Sync),
    stop: &'a Stop,
    /// How many threads run, out of how many.
    arrived: &'a Counter,
    all: u64,
}

impl Job<'_> {
    /// What its thread does. Task context, with no lock held.
    fn run(&self) {
        self.arrived.add(1);
        // Not asleep: the timer might be left to a CPU whose thread has begun.
        while self.arrived.get() < self.all {
            if self.stop.is_asked() {
                return;
            }
            sync::cond_resched();
        }
        (self.each)(self.cpu, self.stop);
    }
}

/// # Invariants
///
/// The tasks are kernel threads. Only the drop stops them.
struct Threads<'a> {
    stop: &'a Stop,
    tasks: KVec<NonNull<bindings::task_struct>>,
}

impl<'a> Threads<'a> {
    /// Starts a thread, which uses `job` until `self` is dropped.
    fn start(&mut self, job: &'a Job<'a>) -> Result {
        let data = ptr::from_ref(job).cast_mut().cast::<c_void>();
        let name = c"ostor/%u".as_char_ptr();
        // SAFETY: `run` may be called with the job, which outlives the thread, and the name is a
        // format of one number.
        let task = from_err_ptr(unsafe {
            bindings::kthread_create_on_cpu(Some(run), data, job.cpu, name)
        })?;
        // SAFETY: A thread that was created and has not run yet.
        unsafe { bindings::wake_up_process(task) };
        // INVARIANT: Created above.
        self.tasks
            .push(NonNull::new(task).ok_or(ENOMEM)?, GFP_KERNEL)?;
        Ok(())
    }
}

impl Drop for Threads<'_> {
    fn drop(&mut self) {
        self.stop.0.store(true, Relaxed);
        for task in &self.tasks {
            // SAFETY: By the type invariant; a thread that has not begun yet never will, and one
            // that ended waits to be stopped.
            unsafe { bindings::kthread_stop(task.as_ptr()) };
        }
    }
}

/// # Safety
///
/// Called in a thread that [`Threads::start`] made, with its job.
unsafe extern "C" fn run(data: *mut c_void) -> c_int {
    // SAFETY: `Threads` waits for the thread before the job goes.
    let job = unsafe { &*data.cast::<Job<'_>>() };
    job.run();
    // SAFETY: An FFI call in a kernel thread; the task must stay until it is stopped.
    while !unsafe { bindings::kthread_should_stop() } {
        // SAFETY: As above: a kernel thread may sleep.
        unsafe { bindings::msleep_interruptible(1) };
    }
    0
}

/// Sleeps for so many milliseconds, or until a signal comes; false then. Task context.
pub(crate) fn sleep_ms(ms: u32) -> bool {
    // SAFETY: An FFI call; the contract is the caller's context.
    unsafe { bindings::msleep_interruptible(ms) == 0 }
}
