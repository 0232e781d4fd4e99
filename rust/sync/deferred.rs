// SPDX-License-Identifier: GPL-2.0

//! Defers work from any context, NMI included, to a kworker, which holds no lock and may sleep.

use crate::shim;
use core::{
    ops::Deref,
    ptr::NonNull, //
};
use kernel::{
    bindings,
    prelude::*,
    time::{
        delay::fsleep,
        Delta, //
    },
    types::Opaque, //
};

#[cfg(OSTOR_TEST)]
use kernel::workqueue;

/// The module's workqueue. The drop waits for all work on it.
///
/// # Invariants
///
/// The pointer is a valid workqueue, which this object owns.
pub(crate) struct Workqueue(NonNull<bindings::workqueue_struct>);

// SAFETY: Any thread may queue work, flush and destroy a workqueue.
unsafe impl Send for Workqueue {}
// SAFETY: As above.
unsafe impl Sync for Workqueue {}

impl Workqueue {
    /// Allocates the workqueue. May sleep.
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: An FFI call with no requirement.
        let ptr = unsafe { shim::ostor_alloc_workqueue() };
        // INVARIANT: Allocated above, for this object.
        NonNull::new(ptr).map(Self).ok_or(ENOMEM)
    }

    /// Waits for all work that is queued. May sleep. Not in work on this queue.
    pub(crate) fn flush(&self) {
        // SAFETY: The workqueue is valid by the type invariant.
        unsafe { bindings::__flush_workqueue(self.0.as_ptr()) };
    }
}

#[cfg(OSTOR_TEST)]
impl Workqueue {
    /// Runs `work` in a kworker. The drop of the queue waits for it. May sleep.
    pub(crate) fn spawn(&self, work: impl FnOnce() + Send + 'static) -> Result {
        // SAFETY: The workqueue is valid by the type invariant.
        let queue = unsafe { workqueue::Queue::from_raw(self.0.as_ptr()) };
        Ok(queue.try_spawn(GFP_KERNEL, work)?)
    }
}

impl Drop for Workqueue {
    fn drop(&mut self) {
        // SAFETY: The workqueue is valid by the type invariant.
        unsafe { bindings::destroy_workqueue(self.0.as_ptr()) };
    }
}

/// The function of a [`DeferredWork`], and its data.
pub(crate) trait WorkFn: Sync + Sized + 'static {
    /// Runs at least once after each [`DeferredWork::queue`], in a kworker that holds no lock.
    /// Never runs twice at a time. May sleep.
    fn run(work: &DeferredWork<Self>);

    /// Whether the work must not wait for the next tick. Any context.
    fn is_urgent(&self) -> bool;
}

/// Work that any context can queue, and that a kworker runs.
///
/// A caller in NMI, with interrupts off or under the run queue's lock must not queue a
/// delayed_work. An irq_work does it: in the next tick of this CPU or, if the tick is stopped or
/// the work is urgent, in an interrupt of its own. All calls that come before the run begins have
/// that one run.
///
/// # Invariants
///
/// - `tick`, `irq` and `work` are initialised, with the functions `in_tick`, `in_irq` and
///   `in_worker`.
/// - `queue` is valid until the drop is over.
#[pin_data(PinnedDrop)]
pub(crate) struct DeferredWork<F: WorkFn> {
    #[pin]
    tick: Opaque<bindings::irq_work>,
    #[pin]
    irq: Opaque<bindings::irq_work>,
    #[pin]
    work: Opaque<bindings::delayed_work>,
    queue: NonNull<bindings::workqueue_struct>,
    func: F,
}

// SAFETY: Any thread may queue an irq_work or a delayed_work, and `F` is `Sync`.
unsafe impl<F: WorkFn> Sync for DeferredWork<F> {}
// SAFETY: Any thread may cancel an irq_work or a delayed_work, and `F` is `Send`.
unsafe impl<F: WorkFn + Send> Send for DeferredWork<F> {}

impl<F: WorkFn> Deref for DeferredWork<F> {
    type Target = F;

    #[inline(always)]
    fn deref(&self) -> &F {
        &self.func
    }
}

impl<F: WorkFn> DeferredWork<F> {
    /// Work that runs on `queue`, which must be dropped after the work.
    pub(crate) fn new(queue: &Workqueue, func: F) -> impl PinInit<Self> {
        let queue = queue.0;
        // INVARIANT: Initialised here; the caller drops the queue later.
        pin_init!(Self {
            tick <- Opaque::ffi_init(|slot| {
                // SAFETY: `slot` is valid for writes of an irq_work.
                unsafe { shim::ostor_init_irq_work(slot, Some(Self::in_tick), true) }
            }),
            irq <- Opaque::ffi_init(|slot| {
                // SAFETY: `slot` is valid for writes of an irq_work.
                unsafe { shim::ostor_init_irq_work(slot, Some(Self::in_irq), false) }
            }),
            work <- Opaque::ffi_init(|slot| {
                // SAFETY: `slot` is valid for writes of a delayed_work.
                unsafe { shim::ostor_init_delayed_work(slot, Some(Self::in_worker)) }
            }),
            queue,
            func,
        })
    }

    /// Queues the work: within a jiffy, or at once if it is urgent. Any context.
    pub(crate) fn queue(&self) {
        let irq = if self.is_urgent() {
            &self.irq
        } else {
            &self.tick
        };
        // SAFETY: The irq_work is initialised by the type invariant, and pinned.
        unsafe { bindings::irq_work_queue(irq.get()) };
    }

    /// Queues the work in `jiffies`, unless it is pending already. Not in NMI.
    pub(crate) fn queue_delayed(&self, jiffies: usize) {
        // SAFETY: By the type invariant the delayed_work is initialised, and the workqueue is
        // valid.
        unsafe { shim::ostor_queue_delayed_work(self.queue.as_ptr(), self.work.get(), jiffies) };
    }

    /// Queues the work now, whether it is pending or not. May sleep.
    pub(crate) fn queue_now(&self) {
        // SAFETY: By the type invariant the delayed_work is initialised, and the workqueue is
        // valid.
        unsafe {
            bindings::mod_delayed_work_on(
                bindings::wq_misc_consts_WORK_CPU_UNBOUND as i32,
                self.queue.as_ptr(),
                self.work.get(),
                0,
            )
        };
    }

    /// Waits for a run that has begun, or that [`DeferredWork::queue_now`] or
    /// [`DeferredWork::queue_delayed`] has queued. May sleep.
    pub(crate) fn flush(&self) {
        // SAFETY: The delayed_work is initialised by the type invariant.
        unsafe { bindings::flush_delayed_work(self.work.get()) };
    }

    /// # Safety
    ///
    /// `tick` must be that field of a `DeferredWork<F>`.
    unsafe extern "C" fn in_tick(tick: *mut bindings::irq_work) {
        // SAFETY: `tick` is a field of one by the contract. Its drop waits for this function.
        let this = unsafe { &*kernel::container_of!(Opaque::cast_from(tick), Self, tick) };
        this.queue_delayed(0);
    }

    /// # Safety
    ///
    /// `irq` must be that field of a `DeferredWork<F>`.
    unsafe extern "C" fn in_irq(irq: *mut bindings::irq_work) {
        // SAFETY: `irq` is a field of one by the contract. Its drop waits for this function.
        let this = unsafe { &*kernel::container_of!(Opaque::cast_from(irq), Self, irq) };
        this.queue_delayed(0);
    }

    /// # Safety
    ///
    /// `work` must be the work_struct in the field `work` of a `DeferredWork<F>`.
    unsafe extern "C" fn in_worker(work: *mut bindings::work_struct) {
        // A work_struct is the first field of a delayed_work.
        let work = work.cast::<bindings::delayed_work>();
        // SAFETY: `work` is a field of one by the contract. Its drop waits for this function.
        let this = unsafe { &*kernel::container_of!(Opaque::cast_from(work), Self, work) };
        F::run(this);
    }
}

#[pinned_drop]
impl<F: WorkFn> PinnedDrop for DeferredWork<F> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: The irq_work is initialised by the type invariant.
        unsafe { bindings::irq_work_sync(self.tick.get()) };
        // SAFETY: As above.
        unsafe { bindings::irq_work_sync(self.irq.get()) };
        // SAFETY: The delayed_work is initialised by the type invariant.
        unsafe { bindings::cancel_delayed_work_sync(self.work.get()) };
    }
}

/// What a [`Work`] runs.
pub(crate) trait WorkItem: Sync + 'static {
    /// Runs once after each [`Work::queue`], in a kworker that holds no lock. Never runs twice at a
    /// time. May sleep, and may free the work.
    fn run(&self);
}

/// Work that a kworker runs, for callers that may queue work themselves.
///
/// It may be freed while it is not queued, by its own run too. So its drop waits for nothing.
///
/// # Invariants
///
/// - `work` is initialised, with the function `in_worker`.
/// - `queue` is valid until the last run is over.
#[pin_data]
pub(crate) struct Work<T: WorkItem> {
    #[pin]
    work: Opaque<bindings::work_struct>,
    queue: NonNull<bindings::workqueue_struct>,
    item: T,
}

// SAFETY: Any thread may queue a work_struct, and `T` is `Sync`.
unsafe impl<T: WorkItem> Sync for Work<T> {}
// SAFETY: A work_struct that is not queued is tied to no thread, and `T` is `Send`.
unsafe impl<T: WorkItem + Send> Send for Work<T> {}

impl<T: WorkItem> Deref for Work<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.item
    }
}

impl<T: WorkItem> Work<T> {
    /// Work that runs on `queue`, which must be dropped after the last run.
    pub(crate) fn new(queue: &Workqueue, item: T) -> impl PinInit<Self> {
        let queue = queue.0;
        // INVARIANT: Initialised here; the caller drops the queue later.
        pin_init!(Self {
            work <- Opaque::ffi_init(|slot| {
                // SAFETY: `slot` is valid for writes of a work_struct.
                unsafe { shim::ostor_init_work(slot, Some(Self::in_worker)) }
            }),
            queue,
            item,
        })
    }

    /// Queues the work. Process context, or an interrupt that came while interrupts were on.
    ///
    /// # Safety
    ///
    /// The work must not be queued already, and must be valid until its run begins.
    pub(crate) unsafe fn queue(&self) {
        // SAFETY: By the type invariant the work_struct is initialised, and the workqueue is valid.
        // Both stay until the run, by the contract.
        unsafe {
            bindings::queue_work_on(
                bindings::wq_misc_consts_WORK_CPU_UNBOUND as i32,
                self.queue.as_ptr(),
                self.work.get(),
            )
        };
    }

    /// Calls `f` with the item that the calling kworker runs, if that is a `T`. Any context;
    /// returns [`None`] in an interrupt. Not in a run that has freed its work.
    pub(crate) fn with_current<R>(f: impl FnOnce(&T) -> R) -> Option<R> {
        // SAFETY: An FFI call with no requirement.
        let work = unsafe { shim::ostor_current_work(Some(Self::in_worker)) };
        NonNull::new(work).map(|work| {
            let work = Opaque::cast_from(work.as_ptr());
            // SAFETY: A work_struct with the function `in_worker` is a field of a `Self`, which its
            // run has not freed, by the contract.
            f(unsafe { &(*kernel::container_of!(work, Self, work)).item })
        })
    }

    /// # Safety
    ///
    /// `work` must be that field of a `Work<T>`.
    unsafe extern "C" fn in_worker(work: *mut bindings::work_struct) {
        // SAFETY: `work` is a field of one by the contract. Only the run that begins here may free
        // it.
        let this = unsafe { &*kernel::container_of!(Opaque::cast_from(work), Self, work) };
        this.item.run();
    }
}

/// Waits until each task has left the code in which it was, preempted or not. May sleep.
pub(crate) fn synchronize_rcu_tasks() {
    // SAFETY: An FFI call with no requirement but that it may sleep.
    unsafe { shim::ostor_synchronize_rcu_tasks() };
}

/// Lets the scheduler run another task. Task context, with no lock held.
pub(crate) fn cond_resched() {
    // SAFETY: An FFI call. The context is the caller's duty.
    unsafe { shim::ostor_cond_resched() };
}

/// Sleeps for 10 ms. Task context, with no lock held.
pub(crate) fn sleep_10ms() {
    fsleep(Delta::from_millis(10));
}
