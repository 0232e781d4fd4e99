// SPDX-License-Identifier: GPL-2.0

//! Runs a function in interrupt, NMI or probe context.

use crate::shim;
use core::{
    marker::PhantomData,
    ptr::{
        self,
        NonNull, //
    }, //
};
use kernel::{
    error::from_err_ptr,
    ffi::c_void,
    prelude::*, //
};

/// A context.
#[derive(Copy, Clone, PartialEq, Eq)]
pub(crate) enum Context {
    /// A softirq, of a timer.
    Softirq = shim::OSTOR_CONTEXT_SOFTIRQ as isize,
    /// The interrupt of a timer.
    Timer = shim::OSTOR_CONTEXT_TIMER as isize,
    /// A hard irq_work.
    IrqWork = shim::OSTOR_CONTEXT_IRQ_WORK as isize,
    /// The interrupt that another CPU sends.
    Ipi = shim::OSTOR_CONTEXT_IPI as isize,
    /// An NMI.
    Nmi = shim::OSTOR_CONTEXT_NMI as isize,
    /// A kprobe in owner_storage, where the CPU holds a lock of the storage and is about to release it.
    Kprobe = shim::OSTOR_CONTEXT_KPROBE as isize,
    /// The tracepoint `sched_switch`, which is passed under the run queue's lock.
    RunQueue = shim::OSTOR_CONTEXT_RUN_QUEUE as isize,
    /// Inside the slab allocator, with and without its locks held.
    Alloc = shim::OSTOR_CONTEXT_ALLOC as isize,
}

impl Context {
    /// Whether it can be made to come, and not only waited for.
    pub(crate) fn can_be_raised(self) -> bool {
        !matches!(self, Self::Kprobe | Self::RunQueue | Self::Alloc)
    }
}

/// Nanoseconds between two calls, at the least.
pub(crate) const MIN_PERIOD_NS: u64 = 100_000;

/// Runs `body`, and meanwhile `inside` in `context` on each of `cpus`, a bit for each of those
/// below 64: every `period_ns`, or later, where that context has to come by itself. `inside` is
/// told whether it is in `context`: an interrupt may also be handled elsewhere.
///
/// No `inside` is under way any more when this returns. Fails with `EOPNOTSUPP` if this kernel has
/// no such context, and with `EBUSY` if it is in use. May sleep.
pub(crate) fn run_in<R>(
    context: Context,
    cpus: u64,
    period_ns: u64,
    inside: &(dyn Fn(bool) + Sync),
    body: impl FnOnce() -> R,
) -> Result<R> {
    let job = Job { context, inside };
    let source = Source::start(&job, cpus, period_ns.max(MIN_PERIOD_NS))?;
    let result = body();
    drop(source);
    Ok(result)
}

/// Runs `body`, which can have `inside` run in `context`, once and again, as [`run_in`] does.
pub(crate) fn on_demand<R>(
    context: Context,
    inside: &(dyn Fn(bool) + Sync),
    body: impl FnOnce(&Raiser<'_>) -> R,
) -> Result<R> {
    let job = Job { context, inside };
    let raiser = Raiser(Source::start(&job, u64::MAX, 0)?);
    let result = body(&raiser);
    drop(raiser);
    Ok(result)
}

/// What [`on_demand`] gives its body.
pub(crate) struct Raiser<'a>(Source<'a>);

impl Raiser<'_> {
    /// Has the function run in the context on this CPU and returns when it has; false if the
    /// context did not come, as a softirq does not where interrupts are off. For [`Context::Ipi`],
    /// it runs on another CPU, which is given a moment to begin, and may end later. Any context.
    pub(crate) fn raise(&self) -> bool {
        // SAFETY: By the type invariant of `Source`.
        unsafe { shim::ostor_source_raise(self.0.ptr.as_ptr()) }
    }
}

/// # Invariants
///
/// The pointer is a source that was started and not stopped.
struct Source<'a> {
    ptr: NonNull<c_void>,
    _job: PhantomData<&'a Job<'a>>,
}

impl<'a> Source<'a> {
    /// Starts a source, which uses `job` until it is dropped, and must be.
    fn start(job: &'a Job<'a>, cpus: u64, period_ns: u64) -> Result<Self> {
        let data = ptr::from_ref(job).cast_mut().cast::<c_void>();
        let number = job.context as u32;
        // SAFETY: `call` can be called in any context with the job, which outlives the source.
        let source = from_err_ptr(unsafe {
            shim::ostor_source_start(number, cpus, period_ns, Some(call), data)
        })?;
        // INVARIANT: Started above.
        Ok(Self {
            ptr: NonNull::new(source).ok_or(ENOMEM)?,
            _job: PhantomData,
        })
    }
}

impl Drop for Source<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { shim::ostor_source_stop(self.ptr.as_ptr()) };
    }
}

struct Job<'a> {
    context: Context,
    inside: &'a (dyn Fn(bool) + Sync),
}

/// # Safety
///
/// Called by a source only, with the data that [`Source::start`] gave it.
unsafe extern "C" fn call(data: *mut c_void) {
    // SAFETY: The job outlives the source.
    let job = unsafe { &*data.cast::<Job<'_>>() };
    // SAFETY: An FFI call with no requirement.
    let here = unsafe { shim::ostor_source_is_here(job.context as u32) };
    (job.inside)(here);
}

/// The number of the CPU that this runs on, or has just run on.
pub(crate) fn this_cpu() -> u32 {
    // SAFETY: An FFI call with no requirement.
    unsafe { shim::ostor_this_cpu() }
}

/// Whether there is such a CPU and it is online.
pub(crate) fn is_online(cpu: u32) -> bool {
    // SAFETY: An FFI call with no requirement.
    unsafe { shim::ostor_cpu_online(cpu) }
}

/// A CPU that is online, another one than this if there is one.
pub(crate) fn another_cpu() -> u32 {
    let here = this_cpu();
    (0..u64::BITS)
        .find(|&cpu| cpu != here && is_online(cpu))
        .unwrap_or(here)
}
