// SPDX-License-Identifier: GPL-2.0

//! From any context to one that holds nothing and may sleep.

use crate::shim;
use core::{
    marker::PhantomData,
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
pub(crate) struct Queue(NonNull<bindings::workqueue_struct>);

// SAFETY: A workqueue may be used from anywhere.
unsafe impl Send for Queue {}
// SAFETY: As above.
unsafe impl Sync for Queue {}

impl Queue {
    /// Allocates the workqueue. May sleep.
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: An FFI call with no requirement.
        let ptr = unsafe { shim::ostor_alloc_workqueue() };
        // INVARIANT: It was just allocated for this object.
        NonNull::new(ptr).map(Self).ok_or(ENOMEM)
    }
}

#[cfg(OSTOR_TEST)]
impl Queue {
    /// Runs `work` in a kworker. Dropping the queue waits for it. May sleep.
    pub(crate) fn spawn(&self, work: impl FnOnce() + Send + 'static) -> Result {
        // SAFETY: Owned by the type invariant.
        let queue = unsafe { workqueue::Queue::from_raw(self.0.as_ptr()) };
        Ok(queue.try_spawn(GFP_KERNEL, work)?)
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: Owned by the type invariant.
        unsafe { bindings::destroy_workqueue(self.0.as_ptr()) };
    }
}

/// What a [`Bell`] calls.
pub(crate) trait Listener: Sync + 'static {
    /// Answers rings: at least once after each [`Bell::ring`], never twice at a time. Runs in a
    /// kworker: holds nothing, may sleep.
    fn answer();
}

/// Rung in any context, answered in a kworker.
///
/// A ring in NMI, with interrupts off or under the run queue's lock must not queue work itself:
/// an irq_work does, which is the next interrupt on this CPU.
#[pin_data(PinnedDrop)]
pub(crate) struct Bell<L: Listener> {
    #[pin]
    irq: Opaque<bindings::irq_work>,
    #[pin]
    work: Opaque<bindings::delayed_work>,
    queue: NonNull<bindings::workqueue_struct>,
    _listener: PhantomData<fn(L)>,
}

// SAFETY: irq_work and delayed_work are made to be queued from anywhere.
unsafe impl<L: Listener> Sync for Bell<L> {}
// SAFETY: As above; moving is what pinning forbids.
unsafe impl<L: Listener> Send for Bell<L> {}

impl<L: Listener> Bell<L> {
    /// A bell whose work runs on `queue`, which must be dropped after the bell.
    pub(crate) fn new(queue: &Queue) -> impl PinInit<Self> {
        let queue = queue.0;
        pin_init!(Self {
            irq <- Opaque::ffi_init(|slot| {
                // SAFETY: `slot` is memory for an irq_work.
                unsafe { shim::ostor_init_irq_work(slot, Some(Self::in_irq)) }
            }),
            work <- Opaque::ffi_init(|slot| {
                // SAFETY: `slot` is memory for a delayed_work.
                unsafe { shim::ostor_init_delayed_work(slot, Some(Self::in_worker)) }
            }),
            queue,
            _listener: PhantomData,
        })
    }

    /// Asks for an answer, soon. Any context.
    pub(crate) fn ring(&self) {
        // SAFETY: Initialised and pinned.
        unsafe { bindings::irq_work_queue(self.irq.get()) };
    }

    /// Asks for an answer in `jiffies`, unless one is asked for already. Not in NMI.
    pub(crate) fn ring_later(&self, jiffies: usize) {
        // SAFETY: Both are initialised, and the queue outlives the bell.
        unsafe { shim::ostor_queue_delayed_work(self.queue.as_ptr(), self.work.get(), jiffies) };
    }

    /// Waits until all rings so far are answered. May sleep.
    pub(crate) fn flush(&self) {
        // SAFETY: Initialised and pinned.
        unsafe { bindings::irq_work_sync(self.irq.get()) };
        // SAFETY: Likewise.
        unsafe { bindings::flush_delayed_work(self.work.get()) };
    }

    /// # Safety
    ///
    /// Called for the irq_work of a `Bell<L>` only.
    unsafe extern "C" fn in_irq(irq: *mut bindings::irq_work) {
        // SAFETY: By the contract there is a bell around it, whose drop waits for this.
        let bell = unsafe { &*kernel::container_of!(Opaque::cast_from(irq), Self, irq) };
        bell.ring_later(0);
    }

    /// # Safety
    ///
    /// Called for the delayed_work of a `Bell<L>` only.
    unsafe extern "C" fn in_worker(_work: *mut bindings::work_struct) {
        L::answer();
    }
}

#[pinned_drop]
impl<L: Listener> PinnedDrop for Bell<L> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: Initialised and pinned.
        unsafe { bindings::irq_work_sync(self.irq.get()) };
        // SAFETY: Likewise.
        unsafe { bindings::cancel_delayed_work_sync(self.work.get()) };
    }
}

/// Lets others run. Task context, with no lock held.
pub(crate) fn cond_resched() {
    // SAFETY: An FFI call; the contract is the caller's context.
    unsafe { shim::ostor_cond_resched() };
}

/// Sleeps for a moment: 10 ms. Task context, with no lock held.
pub(crate) fn pause() {
    fsleep(Delta::from_millis(10));
}
