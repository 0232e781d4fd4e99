// SPDX-License-Identifier: GPL-2.0

//! From any context to one that holds nothing and may sleep.

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

/// The module's workqueue. Dropping it waits for all work.
///
/// # Invariants
///
/// The pointer is a workqueue that this object owns.
pub(crate) struct Workqueue(NonNull<bindings::workqueue_struct>);

// SAFETY: A workqueue may be used from anywhere.
unsafe impl Send for Workqueue {}
// SAFETY: As above.
unsafe impl Sync for Workqueue {}

impl Workqueue {
    /// Allocates the workqueue. May sleep.
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: An FFI call with no requirement.
        let ptr = unsafe { shim::ostor_alloc_workqueue() };
        // INVARIANT: It was just allocated for this object.
        NonNull::new(ptr).map(Self).ok_or(ENOMEM)
    }

    /// Waits until all work that was asked for so far is done. May sleep, but not in such work.
    pub(crate) fn flush(&self) {
        // SAFETY: Owned by the type invariant.
        unsafe { bindings::__flush_workqueue(self.0.as_ptr()) };
    }
}

#[cfg(OSTOR_TEST)]
impl Workqueue {
    /// Runs `work` in a kworker. Dropping the queue waits for it. May sleep.
    pub(crate) fn spawn(&self, work: impl FnOnce() + Send + 'static) -> Result {
        // SAFETY: Owned by the type invariant.
        let queue = unsafe { workqueue::Queue::from_raw(self.0.as_ptr()) };
        Ok(queue.try_spawn(GFP_KERNEL, work)?)
    }
}

impl Drop for Workqueue {
    fn drop(&mut self) {
        // SAFETY: Owned by the type invariant.
        unsafe { bindings::destroy_workqueue(self.0.as_ptr()) };
    }
}

/// What a [`DeferredWork`] calls.
pub(crate) trait WorkFn: Sync + Sized + 'static {
    /// Answers rings: at least once after each [`DeferredWork::queue`], never twice at a time. Runs in a
    /// kworker: holds nothing, may sleep.
    fn run(bell: &DeferredWork<Self>);

    /// Whether the answer may not wait for the next tick. Any context.
    fn is_urgent(&self) -> bool;
}

/// Rung in any context, answered in a kworker.
///
/// A ring in NMI, with interrupts off or under the run queue's lock must not queue work itself: an
/// irq_work does, which is part of the next tick on this CPU or, if that is stopped or the ring is
/// urgent, an interrupt of its own. Rings that come before the answer begins are answered by it.
#[pin_data(PinnedDrop)]
pub(crate) struct DeferredWork<L: WorkFn> {
    #[pin]
    tick: Opaque<bindings::irq_work>,
    #[pin]
    irq: Opaque<bindings::irq_work>,
    #[pin]
    work: Opaque<bindings::delayed_work>,
    queue: NonNull<bindings::workqueue_struct>,
    listener: L,
}

// SAFETY: irq_work and delayed_work are made to be queued from anywhere.
unsafe impl<L: WorkFn> Sync for DeferredWork<L> {}
// SAFETY: As above; moving is what pinning forbids.
unsafe impl<L: WorkFn + Send> Send for DeferredWork<L> {}

impl<L: WorkFn> Deref for DeferredWork<L> {
    type Target = L;

    #[inline(always)]
    fn deref(&self) -> &L {
        &self.listener
    }
}

impl<L: WorkFn> DeferredWork<L> {
    /// A bell whose work runs on `queue`, which must be dropped after the bell.
    pub(crate) fn new(queue: &Workqueue, listener: L) -> impl PinInit<Self> {
        let queue = queue.0;
        pin_init!(Self {
            tick <- Opaque::ffi_init(|slot| {
                // SAFETY: `slot` is memory for an irq_work.
                unsafe { shim::ostor_init_irq_work(slot, Some(Self::in_tick), true) }
            }),
            irq <- Opaque::ffi_init(|slot| {
                // SAFETY: `slot` is memory for an irq_work.
                unsafe { shim::ostor_init_irq_work(slot, Some(Self::in_irq), false) }
            }),
            work <- Opaque::ffi_init(|slot| {
                // SAFETY: `slot` is memory for a delayed_work.
                unsafe { shim::ostor_init_delayed_work(slot, Some(Self::in_worker)) }
            }),
            queue,
            listener,
        })
    }

    /// Asks for an answer: a jiffy later at the most, or at once if it is urgent. Any context.
    pub(crate) fn queue(&self) {
        let irq = if self.is_urgent() {
            &self.irq
        } else {
            &self.tick
        };
        // SAFETY: Initialised and pinned.
        unsafe { bindings::irq_work_queue(irq.get()) };
    }

    /// Asks for an answer in `jiffies`, unless one is asked for already. Not in NMI.
    pub(crate) fn queue_delayed(&self, jiffies: usize) {
        // SAFETY: Both are initialised, and the queue outlives the bell.
        unsafe { shim::ostor_queue_delayed_work(self.queue.as_ptr(), self.work.get(), jiffies) };
    }

    /// Asks for an answer now, if one is asked for or not. May sleep.
    pub(crate) fn queue_now(&self) {
        // SAFETY: Both are initialised, and the queue outlives the bell.
        unsafe {
            bindings::mod_delayed_work_on(
                bindings::wq_misc_consts_WORK_CPU_UNBOUND as i32,
                self.queue.as_ptr(),
                self.work.get(),
                0,
            )
        };
    }

    /// Waits for an answer that is being given, or was asked for by [`DeferredWork::queue_now`] or
    /// [`DeferredWork::queue_delayed`]. May sleep.
    pub(crate) fn flush(&self) {
        // SAFETY: Initialised and pinned.
        unsafe { bindings::flush_delayed_work(self.work.get()) };
    }

    /// # Safety
    ///
    /// Called for the `tick` of a `DeferredWork<L>` only.
    unsafe extern "C" fn in_tick(tick: *mut bindings::irq_work) {
        // SAFETY: By the contract there is a bell around it, whose drop waits for this.
        let bell = unsafe { &*kernel::container_of!(Opaque::cast_from(tick), Self, tick) };
        bell.queue_delayed(0);
    }

    /// # Safety
    ///
    /// Called for the `irq` of a `DeferredWork<L>` only.
    unsafe extern "C" fn in_irq(irq: *mut bindings::irq_work) {
        // SAFETY: By the contract there is a bell around it, whose drop waits for this.
        let bell = unsafe { &*kernel::container_of!(Opaque::cast_from(irq), Self, irq) };
        bell.queue_delayed(0);
    }

    /// # Safety
    ///
    /// Called for the delayed_work of a `DeferredWork<L>` only.
    unsafe extern "C" fn in_worker(work: *mut bindings::work_struct) {
        // By the contract, it is the first field of a delayed_work.
        let work = work.cast::<bindings::delayed_work>();
        // SAFETY: By the contract there is a bell around it, whose drop waits for this.
        let bell = unsafe { &*kernel::container_of!(Opaque::cast_from(work), Self, work) };
        L::run(bell);
    }
}

#[pinned_drop]
impl<L: WorkFn> PinnedDrop for DeferredWork<L> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: Initialised and pinned.
        unsafe { bindings::irq_work_sync(self.tick.get()) };
        // SAFETY: Likewise.
        unsafe { bindings::irq_work_sync(self.irq.get()) };
        // SAFETY: Likewise.
        unsafe { bindings::cancel_delayed_work_sync(self.work.get()) };
    }
}

/// What a [`Work`] does.
pub(crate) trait WorkItem: Sync + 'static {
    /// Does it: once after each [`Work::queue`], never twice at a time. Runs in a kworker: holds
    /// nothing, may sleep. The work may be gone when it returns.
    fn run(&self);
}

/// Work for a kworker that is asked for where queueing it is safe.
///
/// It may be freed whenever it is not asked for, also by its own run: so nothing waits for it.
#[pin_data]
pub(crate) struct Work<R: WorkItem> {
    #[pin]
    work: Opaque<bindings::work_struct>,
    queue: NonNull<bindings::workqueue_struct>,
    runner: R,
}

// SAFETY: A work_struct is made to be queued from anywhere.
unsafe impl<R: WorkItem> Sync for Work<R> {}
// SAFETY: As above; moving is what pinning forbids.
unsafe impl<R: WorkItem + Send> Send for Work<R> {}

impl<R: WorkItem> Deref for Work<R> {
    type Target = R;

    fn deref(&self) -> &R {
        &self.runner
    }
}

impl<R: WorkItem> Work<R> {
    /// A work that runs on `queue`, which must outlive the run.
    pub(crate) fn new(queue: &Workqueue, runner: R) -> impl PinInit<Self> {
        let queue = queue.0;
        pin_init!(Self {
            work <- Opaque::ffi_init(|slot| {
                // SAFETY: `slot` is memory for a work_struct.
                unsafe { shim::ostor_init_work(slot, Some(Self::in_worker)) }
            }),
            queue,
            runner,
        })
    }

    /// Asks for a run. Process context, or an interrupt that came where interrupts are on.
    ///
    /// # Safety
    ///
    /// The work must not be asked for already, and stay until the run has begun.
    pub(crate) unsafe fn queue(&self) {
        // SAFETY: Both are initialised, and stay until the run by the contract.
        unsafe {
            bindings::queue_work_on(
                bindings::wq_misc_consts_WORK_CPU_UNBOUND as i32,
                self.queue.as_ptr(),
                self.work.get(),
            )
        };
    }

    /// Calls `f` if this is the run of a work of this type, with what runs. Any context, but not in
    /// a run that has freed its work; an interrupt that comes into a run is none.
    pub(crate) fn with_current<T>(f: impl FnOnce(&R) -> T) -> Option<T> {
        // SAFETY: An FFI call with no requirement.
        let work = unsafe { shim::ostor_current_work(Some(Self::in_worker)) };
        NonNull::new(work).map(|work| {
            let work = Opaque::cast_from(work.as_ptr());
            // SAFETY: What runs `in_worker` has a work around it, which is there by the contract.
            f(unsafe { &(*kernel::container_of!(work, Self, work)).runner })
        })
    }

    /// # Safety
    ///
    /// Called for the work_struct of a `Work<R>` only.
    unsafe extern "C" fn in_worker(work: *mut bindings::work_struct) {
        // SAFETY: By the contract there is a work around it, and it stays until the run says so.
        let work = unsafe { &*kernel::container_of!(Opaque::cast_from(work), Self, work) };
        work.runner.run();
    }
}

/// Waits until all tasks have left the code that they are in now. May sleep.
pub(crate) fn synchronize_rcu_tasks() {
    // SAFETY: An FFI call with no requirement but that it may sleep.
    unsafe { shim::ostor_synchronize_rcu_tasks() };
}

/// Lets others run. Task context, with no lock held.
pub(crate) fn cond_resched() {
    // SAFETY: An FFI call; the contract is the caller's context.
    unsafe { shim::ostor_cond_resched() };
}

/// Sleeps for a moment: 10 ms. Task context, with no lock held.
pub(crate) fn sleep_10ms() {
    fsleep(Delta::from_millis(10));
}
