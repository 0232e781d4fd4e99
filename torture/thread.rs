// SPDX-License-Identifier: GPL-2.0

//! Kernel threads, each bound to one CPU, that return before a call does.

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

/// Asks threads to return.
pub(crate) struct Stop(Atomic<bool>);

impl Stop {
    /// Returns whether the threads are asked to return.
    pub(crate) fn is_asked(&self) -> bool {
        self.0.load(Relaxed)
    }
}

/// Runs `body`, and meanwhile `each` in a thread on each CPU of `cpus`. Then asks the threads to
/// return by the [`Stop`], which `each` must check, and waits until they have. May sleep.
///
/// No `each` begins before the last thread runs: one that occupies its CPU for long, with
/// interrupts off, might delay the start of the next thread.
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
    /// The number of threads that run, and of those that are to run.
    arrived: &'a Counter,
    all: u64,
}

impl Job<'_> {
    /// The function of each thread. Task context, with no lock held.
    fn run(&self) {
        self.arrived.add(1);
        // Does not sleep: the timer might be left to a CPU whose thread has begun.
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
            // SAFETY: By the type invariant this is a kernel thread that was not stopped. One that
            // has not begun never will, and one that has returned from its work waits to be
            // stopped.
            unsafe { bindings::kthread_stop(task.as_ptr()) };
        }
    }
}

/// # Safety
///
/// May only be called in a thread of [`Threads::start`], with its job.
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

/// Sleeps for `ms` milliseconds. Returns false if a signal came before. Task context.
pub(crate) fn sleep_ms(ms: u32) -> bool {
    // SAFETY: An FFI call with no requirement in task context.
    unsafe { bindings::msleep_interruptible(ms) == 0 }
}
