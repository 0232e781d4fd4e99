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
    /// An inter-processor interrupt.
    Ipi = shim::OSTOR_CONTEXT_IPI as isize,
    /// An NMI.
    Nmi = shim::OSTOR_CONTEXT_NMI as isize,
    /// A kprobe in owner_storage, where the CPU has just taken a lock of the storage.
    Kprobe = shim::OSTOR_CONTEXT_KPROBE as isize,
    /// The tracepoint `sched_switch`, with the run queue's lock held.
    RunQueue = shim::OSTOR_CONTEXT_RUN_QUEUE as isize,
    /// Inside the slab allocator, with and without its locks held.
    Alloc = shim::OSTOR_CONTEXT_ALLOC as isize,
}

impl Context {
    /// Returns whether code can cause it. The others depend on what the CPU runs.
    pub(crate) fn can_be_raised(self) -> bool {
        !matches!(self, Self::Kprobe | Self::RunQueue | Self::Alloc)
    }
}

/// The shortest period in nanoseconds.
pub(crate) const MIN_PERIOD_NS: u64 = 100_000;

/// Runs `body`, and meanwhile calls `inside` in `context` on each CPU of `cpus`, a bit for each of
/// those below 64: every `period_ns`, or later if the context depends on what the CPU runs. The
/// argument of `inside` is whether it was called in `context`, since an interrupt can be handled in
/// another one.
///
/// When this returns, no call of `inside` is left. Fails with `EOPNOTSUPP` if this kernel has no
/// such context, and with `EBUSY` if another caller uses it. May sleep.
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

/// Runs `body`, which can have `inside` called in `context` by its [`Raiser`], any number of times.
/// Otherwise as [`run_in`].
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

/// Has the function of [`on_demand`] called.
pub(crate) struct Raiser<'a>(Source<'a>);

impl Raiser<'_> {
    /// Has the function called in the context on this CPU, and waits until it has returned. Returns
    /// false if the context did not come, as a softirq does not while interrupts are off. With
    /// [`Context::Ipi`] the function is called on another CPU: this waits until it has begun, and
    /// for a moment after that, and it may return later. Any context.
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
    /// Starts a source. The caller must drop it: it uses `job` until then.
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
        // SAFETY: By the type invariant the source was started and not stopped.
        unsafe { shim::ostor_source_stop(self.ptr.as_ptr()) };
    }
}

struct Job<'a> {
    context: Context,
    inside: &'a (dyn Fn(bool) + Sync),
}

/// # Safety
///
/// May only be called by a source, with the data that [`Source::start`] gave it.
unsafe extern "C" fn call(data: *mut c_void) {
    // SAFETY: The job outlives the source.
    let job = unsafe { &*data.cast::<Job<'_>>() };
    // SAFETY: An FFI call with no requirement.
    let here = unsafe { shim::ostor_source_is_here(job.context as u32) };
    (job.inside)(here);
}

/// The number of this CPU. The caller may migrate before it uses the number.
pub(crate) fn this_cpu() -> u32 {
    // SAFETY: An FFI call with no requirement.
    unsafe { shim::ostor_this_cpu() }
}

/// Whether there is such a CPU and it is online.
pub(crate) fn is_online(cpu: u32) -> bool {
    // SAFETY: An FFI call with no requirement.
    unsafe { shim::ostor_cpu_online(cpu) }
}

/// A CPU that is online: not this one, if there is another one.
pub(crate) fn another_cpu() -> u32 {
    let here = this_cpu();
    (0..u64::BITS)
        .find(|&cpu| cpu != here && is_online(cpu))
        .unwrap_or(here)
}
