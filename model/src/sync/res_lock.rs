// SPDX-License-Identifier: GPL-2.0

//! A lock whose acquisition can fail.

use super::{
    fault::{
        self,
        Site, //
    },
    irq::with_irqs_off, //
};
use kernel::prelude::*;
use machine::lines;
use std::cell::{
    Cell,
    RefCell,
    UnsafeCell, //
};

thread_local! {
    /// The locks that each CPU holds, as the sites at which it took them.
    static HELD: RefCell<Vec<(usize, Site)>> = const { RefCell::new(Vec::new()) };
    /// The number of steps of the longest critical section so far.
    static LONGEST: Cell<u64> = const { Cell::new(0) };
}

/// Begins an execution.
pub(crate) fn begin() {
    HELD.with(|held| held.borrow_mut().clear());
    LONGEST.set(0);
}

/// The number of steps of the longest critical section so far, counted over all CPUs.
pub(crate) fn longest() -> u64 {
    LONGEST.get()
}

/// Returns whether this CPU holds a lock that it took at `site`.
pub(crate) fn holds(site: Site) -> bool {
    let wanted = (machine::cpu(), site);
    HELD.with(|held| held.borrow().contains(&wanted))
}

/// Why a lock was not taken.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum LockError {
    /// This CPU holds the lock already, or holds one that the lock's holder waits for.
    Deadlock,
    /// The holder did not release the lock in time. Only a plan causes this here.
    Timeout,
}

impl From<LockError> for Error {
    fn from(err: LockError) -> Error {
        match err {
            LockError::Deadlock => EDEADLK,
            LockError::Timeout => ETIMEDOUT,
        }
    }
}

/// A `T` behind a lock. The machine knows the lock by its address.
pub(crate) struct ResLock<T> {
    word: UnsafeCell<u64>,
    data: UnsafeCell<T>,
}

// SAFETY: Only the CPU that holds the lock accesses the `T`.
unsafe impl<T: Send> Sync for ResLock<T> {}

impl<T> ResLock<T> {
    /// A lock that is free.
    pub(crate) fn new(data: T) -> Self {
        Self {
            word: UnsafeCell::new(0),
            data: UnsafeCell::new(data),
        }
    }

    /// Runs `f` with the lock held and interrupts off. After an error, `f` was not run.
    pub(crate) fn with<R>(&self, site: Site, f: impl FnOnce(&mut T) -> R) -> Result<R, LockError> {
        if let Some(err) = fault::lock(site) {
            return Err(err);
        }
        self.run(machine::lock::acquire, site, f)
            .ok_or(LockError::Deadlock)
    }

    /// Runs `f` with the lock held and interrupts off, if the lock is free.
    pub(crate) fn try_with<R>(&self, site: Site, f: impl FnOnce(&mut T) -> R) -> Option<R> {
        if fault::lock(site).is_some() {
            return None;
        }
        self.run(machine::lock::try_acquire, site, f)
    }

    fn run<R>(
        &self,
        acquire: fn(usize) -> bool,
        site: Site,
        f: impl FnOnce(&mut T) -> R,
    ) -> Option<R> {
        let addr = self.word.get() as usize;
        lines::note_as(addr, true, || format!("the lock of {site:?}"));
        with_irqs_off(|| {
            if !acquire(addr) {
                return None;
            }
            let holds = (machine::cpu(), site);
            HELD.with(|held| held.borrow_mut().push(holds));
            let before = machine::steps();
            // SAFETY: The lock is held.
            let result = f(unsafe { &mut *self.data.get() });
            LONGEST.set(LONGEST.get().max(machine::steps() - before));
            machine::lock::release(addr);
            HELD.with(|held| {
                let mut held = held.borrow_mut();
                let last = held.iter().rposition(|other| *other == holds);
                last.map(|last| held.remove(last));
            });
            Some(result)
        })
    }
}
