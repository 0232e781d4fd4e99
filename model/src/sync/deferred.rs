// SPDX-License-Identifier: GPL-2.0

//! Work for the machine's kworkers.

use kernel::prelude::*;
use machine::{
    interrupt,
    work, //
};
use std::{
    any::Any,
    cell::{
        Cell,
        RefCell, //
    },
    ops::Deref,
    rc::Rc, //
};

thread_local! {
    /// The CPUs that run a [`Work`], each with its item.
    static RUNNING: RefCell<Vec<(usize, Rc<dyn Any>)>> = const { RefCell::new(Vec::new()) };
    /// Whether the last work that was queued was urgent.
    static URGENT: Cell<bool> = const { Cell::new(false) };
    /// How often work was queued to run now.
    static QUEUED_NOW: Cell<u64> = const { Cell::new(0) };
    /// How often work called `cond_resched()`.
    static YIELDS: Cell<u64> = const { Cell::new(0) };
}

/// Begins an execution.
pub(crate) fn begin() {
    RUNNING.with(|running| running.borrow_mut().clear());
    URGENT.set(false);
    QUEUED_NOW.set(0);
    YIELDS.set(0);
}

/// How often work was queued to run now.
pub(crate) fn queued_now() -> u64 {
    QUEUED_NOW.get()
}

/// How often work called `cond_resched()`.
pub(crate) fn yields() -> u64 {
    YIELDS.get()
}

/// Whether the last work that was queued was urgent.
pub(crate) fn was_urgent() -> bool {
    URGENT.get()
}

/// The kworkers. The drop waits for all work.
pub(crate) struct Workqueue(());

impl Workqueue {
    /// The kworkers, which start with the execution's first thread.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(()))
    }

    /// Waits for all work that is queued. May sleep.
    pub(crate) fn flush(&self) {
        work::flush_all();
    }
}

impl Drop for Workqueue {
    fn drop(&mut self) {
        work::close();
    }
}

/// The function of a [`DeferredWork`], and its data.
pub(crate) trait WorkFn: Sync + Sized + 'static {
    /// Runs at least once after each [`DeferredWork::queue`]. Never runs twice at a time.
    fn run(work: &DeferredWork<Self>);

    /// Whether the work must not wait long, which here the engine decides.
    fn is_urgent(&self) -> bool;
}

/// Work that any context can queue, and that a kworker runs.
pub(crate) struct DeferredWork<F: WorkFn> {
    work: usize,
    func: Rc<F>,
}

// SAFETY: All threads of an execution are one thread of the host.
unsafe impl<F: WorkFn> Sync for DeferredWork<F> {}
// SAFETY: As above.
unsafe impl<F: WorkFn> Send for DeferredWork<F> {}

impl<F: WorkFn> Deref for DeferredWork<F> {
    type Target = F;

    fn deref(&self) -> &F {
        &self.func
    }
}

impl<F: WorkFn> DeferredWork<F> {
    /// Work that calls `func`.
    pub(crate) fn new(_queue: &Workqueue, func: F) -> impl PinInit<Self> {
        kernel::init::Build(move || {
            let func = Rc::new(func);
            let called = func.clone();
            let work = work::add(move |work| {
                let func = called.clone();
                F::run(&Self { work, func });
            });
            Ok::<_, core::convert::Infallible>(Self { work, func })
        })
    }

    /// Queues the work.
    pub(crate) fn queue(&self) {
        URGENT.set(self.is_urgent());
        work::ask(self.work);
    }

    /// Queues the work. The engine decides how much later it runs.
    pub(crate) fn queue_delayed(&self, _jiffies: usize) {
        work::ask(self.work);
    }

    /// Queues the work, and counts that.
    pub(crate) fn queue_now(&self) {
        QUEUED_NOW.set(QUEUED_NOW.get() + 1);
        work::ask(self.work);
    }

    /// Waits for the work if it is queued. May sleep.
    pub(crate) fn flush(&self) {
        work::flush(self.work);
    }
}

/// What a [`Work`] runs.
pub(crate) trait WorkItem: Sync + 'static {
    /// Runs once after each [`Work::queue`]. Never runs twice at a time.
    fn run(&self);
}

/// Work that a kworker runs, for callers that may queue work themselves.
pub(crate) struct Work<T: WorkItem> {
    work: usize,
    item: Rc<T>,
}

// SAFETY: All threads of an execution are one thread of the host.
unsafe impl<T: WorkItem> Sync for Work<T> {}
// SAFETY: As above.
unsafe impl<T: WorkItem> Send for Work<T> {}

impl<T: WorkItem> Deref for Work<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.item
    }
}

impl<T: WorkItem> Work<T> {
    /// Work that runs `item`.
    pub(crate) fn new(_queue: &Workqueue, item: T) -> impl PinInit<Self> {
        kernel::init::Build(move || {
            let item = Rc::new(item);
            let runs = item.clone();
            let work = work::add(move |_| {
                let cpu = machine::cpu();
                RUNNING.with(|running| running.borrow_mut().push((cpu, runs.clone())));
                runs.run();
                let ended = RUNNING.with(|running| {
                    let mut running = running.borrow_mut();
                    let last = running.iter().rposition(|(other, _)| *other == cpu);
                    last.map(|last| running.remove(last))
                });
                drop(ended);
            });
            Ok::<_, core::convert::Infallible>(Self { work, item })
        })
    }

    /// Queues the work. Panics if it is queued already.
    ///
    /// # Safety
    ///
    /// The work must be valid until its run begins.
    pub(crate) unsafe fn queue(&self) {
        assert!(
            !work::ask(self.work),
            "work is queued that is queued already"
        );
    }

    /// Calls `f` with the item that the calling kworker runs, if that is a `T`.
    pub(crate) fn with_current<R>(f: impl FnOnce(&T) -> R) -> Option<R> {
        if !interrupt::in_task() {
            return None;
        }
        let item = RUNNING.with(|running| {
            let cpu = machine::cpu();
            let running = running.borrow();
            let mine = running.iter().rfind(|(other, _)| *other == cpu);
            mine.and_then(|(_, item)| item.clone().downcast::<T>().ok())
        });
        item.map(|item| f(&item))
    }
}

/// Counts. The engine decides when another thread runs.
pub(crate) fn cond_resched() {
    YIELDS.set(YIELDS.get() + 1);
}

/// Nothing: no code is unloaded.
pub(crate) fn synchronize_rcu_tasks() {}

/// Sleeps. An execution that does so too often hangs.
pub(crate) fn sleep_10ms() {
    machine::pause();
}
