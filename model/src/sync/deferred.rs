// SPDX-License-Identifier: GPL-2.0

//! Bells that the machine's kworkers answer, and works that they run.

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
    /// The CPUs that run works, and what each of them runs.
    static RUNNING: RefCell<Vec<(usize, Rc<dyn Any>)>> = const { RefCell::new(Vec::new()) };
    /// Whether the last ring was urgent.
    static URGENT: Cell<bool> = const { Cell::new(false) };
    /// How often a bell was hurried.
    static QUEUED_NOW: Cell<u64> = const { Cell::new(0) };
    /// How often work has let others run.
    static YIELDS: Cell<u64> = const { Cell::new(0) };
}

/// Begins an execution.
pub(crate) fn begin() {
    RUNNING.with(|running| running.borrow_mut().clear());
    URGENT.set(false);
    QUEUED_NOW.set(0);
    YIELDS.set(0);
}

/// How often a bell was hurried.
pub(crate) fn queued_now() -> u64 {
    QUEUED_NOW.get()
}

/// How often work has let others run.
pub(crate) fn yields() -> u64 {
    YIELDS.get()
}

/// Whether the last ring was urgent.
pub(crate) fn was_urgent() -> bool {
    URGENT.get()
}

/// The kworkers. Dropping it waits for all work.
pub(crate) struct Workqueue(());

impl Workqueue {
    /// Kworkers, which start with the execution's first thread.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(()))
    }

    /// Waits until all work that was asked for so far is done. May sleep.
    pub(crate) fn flush(&self) {
        work::flush_all();
    }
}

impl Drop for Workqueue {
    fn drop(&mut self) {
        work::close();
    }
}

/// What a [`DeferredWork`] calls.
pub(crate) trait WorkFn: Sync + Sized + 'static {
    /// Answers rings: at least once after each [`DeferredWork::queue`], never twice at a time.
    fn run(bell: &DeferredWork<Self>);

    /// Whether the answer may not wait long, which here is up to who schedules.
    fn is_urgent(&self) -> bool;
}

/// Rung in any context, answered in a kworker.
pub(crate) struct DeferredWork<L: WorkFn> {
    work: usize,
    listener: Rc<L>,
}

// SAFETY: All threads of an execution are one thread of the host.
unsafe impl<L: WorkFn> Sync for DeferredWork<L> {}
// SAFETY: As above.
unsafe impl<L: WorkFn> Send for DeferredWork<L> {}

impl<L: WorkFn> Deref for DeferredWork<L> {
    type Target = L;

    fn deref(&self) -> &L {
        &self.listener
    }
}

impl<L: WorkFn> DeferredWork<L> {
    /// A bell.
    pub(crate) fn new(_queue: &Workqueue, listener: L) -> impl PinInit<Self> {
        kernel::init::Build(move || {
            let listener = Rc::new(listener);
            let heard = listener.clone();
            let work = work::add(move |work| {
                let listener = heard.clone();
                L::run(&Self { work, listener });
            });
            Ok::<_, core::convert::Infallible>(Self { work, listener })
        })
    }

    /// Asks for an answer, soon.
    pub(crate) fn queue(&self) {
        URGENT.set(self.is_urgent());
        work::ask(self.work);
    }

    /// Asks for an answer later; how much later is up to who schedules.
    pub(crate) fn queue_delayed(&self, _jiffies: usize) {
        work::ask(self.work);
    }

    /// Asks for an answer now.
    pub(crate) fn queue_now(&self) {
        QUEUED_NOW.set(QUEUED_NOW.get() + 1);
        work::ask(self.work);
    }

    /// Waits until all rings so far are answered. May sleep.
    pub(crate) fn flush(&self) {
        work::flush(self.work);
    }
}

/// What a [`Work`] does.
pub(crate) trait WorkItem: Sync + 'static {
    /// Does it: once after each [`Work::queue`], never twice at a time.
    fn run(&self);
}

/// Work for a kworker that is asked for where queueing it is safe.
pub(crate) struct Work<R: WorkItem> {
    work: usize,
    runner: Rc<R>,
}

// SAFETY: All threads of an execution are one thread of the host.
unsafe impl<R: WorkItem> Sync for Work<R> {}
// SAFETY: As above.
unsafe impl<R: WorkItem> Send for Work<R> {}

impl<R: WorkItem> Deref for Work<R> {
    type Target = R;

    fn deref(&self) -> &R {
        &self.runner
    }
}

impl<R: WorkItem> Work<R> {
    /// A work.
    pub(crate) fn new(_queue: &Workqueue, runner: R) -> impl PinInit<Self> {
        kernel::init::Build(move || {
            let runner = Rc::new(runner);
            let runs = runner.clone();
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
            Ok::<_, core::convert::Infallible>(Self { work, runner })
        })
    }

    /// Asks for a run. Panics if it is asked for already.
    ///
    /// # Safety
    ///
    /// The work must stay until the run has begun.
    pub(crate) unsafe fn queue(&self) {
        assert!(!work::ask(self.work), "asked for a second time");
    }

    /// Calls `f` if this is the run of a work of this type, with what runs.
    pub(crate) fn with_current<T>(f: impl FnOnce(&R) -> T) -> Option<T> {
        if !interrupt::in_task() {
            return None;
        }
        let runner = RUNNING.with(|running| {
            let cpu = machine::cpu();
            let running = running.borrow();
            let mine = running.iter().rfind(|(other, _)| *other == cpu);
            mine.and_then(|(_, runner)| runner.clone().downcast::<R>().ok())
        });
        runner.map(|runner| f(&runner))
    }
}

/// Counts only: others run whenever they want.
pub(crate) fn cond_resched() {
    YIELDS.set(YIELDS.get() + 1);
}

/// Nothing: no code goes away.
pub(crate) fn synchronize_rcu_tasks() {}

/// Sleeps for a moment. An execution that does so too often hangs.
pub(crate) fn sleep_10ms() {
    machine::pause();
}
