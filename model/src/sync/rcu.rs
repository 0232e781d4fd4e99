// SPDX-License-Identifier: GPL-2.0

//! RCU. What is loaded under a guard is noted, and must not be freed as long as the guard is there.

use super::{
    Acquire,
    Atomic,
    Full,
    Relaxed,
    Release, //
};
use core::ptr;
use std::cell::Cell;

pub(crate) use kernel::sync::{
    read_lock,
    Guard, //
};
pub(crate) use machine::rcu::synchronize as synchronize_rcu;

thread_local! {
    /// Grace periods that were hurried.
    static EXPEDITED: Cell<u32> = const { Cell::new(0) };
}

/// Begins an execution.
pub(crate) fn begin() {
    EXPEDITED.set(0);
}

/// How many grace periods were hurried.
pub(crate) fn expedited() -> u32 {
    EXPEDITED.get()
}

/// As [`synchronize_rcu`], which takes no time here.
pub(crate) fn synchronize_rcu_expedited() {
    EXPEDITED.set(EXPEDITED.get() + 1);
    synchronize_rcu();
}

/// A pointer that readers follow under an RCU guard.
///
/// In the kernel a load is relaxed and ordered by its address dependency, which no engine knows:
/// here it acquires. For the same reason all stores release: whoever links past an object that
/// he has found passes on what he has seen of the next one.
#[repr(transparent)]
pub(crate) struct RcuPtr<T>(Atomic<*mut T>);

impl<T> RcuPtr<T> {
    /// A null pointer.
    pub(crate) const fn null() -> Self {
        Self(Atomic::new(ptr::null_mut()))
    }

    /// Loads the pointer.
    pub(crate) fn load(&self) -> *mut T {
        let target = self.0.load(Acquire);
        machine::rcu::loaded(target as usize);
        target
    }

    /// Whether the pointer is null; nobody follows it.
    pub(crate) fn is_null(&self) -> bool {
        self.0.load(Relaxed).is_null()
    }

    /// Publishes `new`.
    pub(crate) fn assign(&self, new: *mut T) {
        self.0.store(new, Release);
    }

    /// Sets the pointer of an object that nobody else can reach yet, or that is only being taken
    /// out.
    pub(crate) fn set(&self, new: *mut T) {
        self.0.store(new, Release);
    }

    /// Publishes `new` if the pointer still is `old`. Fully ordered on success.
    pub(crate) fn replace(&self, old: *mut T, new: *mut T) -> bool {
        self.0.cmpxchg(old, new, Full).is_ok()
    }
}
