// SPDX-License-Identifier: GPL-2.0

//! RCU. The machine records each pointer that is loaded under a guard. What it points to must not
//! be freed before the guard is dropped.

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
    /// The number of grace periods that were expedited.
    static EXPEDITED: Cell<u32> = const { Cell::new(0) };
}

/// Begins an execution.
pub(crate) fn begin() {
    EXPEDITED.set(0);
}

/// The number of grace periods that were expedited.
pub(crate) fn expedited() -> u32 {
    EXPEDITED.get()
}

/// As [`synchronize_rcu`]. Neither takes time here.
pub(crate) fn synchronize_rcu_expedited() {
    EXPEDITED.set(EXPEDITED.get() + 1);
    synchronize_rcu();
}

/// A pointer that readers follow under an RCU guard.
///
/// In the kernel a load is relaxed, and its address dependency orders it. The engines do not know
/// these, so a load acquires here. For the same reason all stores release: a CPU that changes a
/// link to lead around an object passes on what it has seen of the next one.
#[repr(transparent)]
pub(crate) struct RcuPtr<T>(Atomic<*mut T>);

impl<T> RcuPtr<T> {
    /// A null pointer.
    pub(crate) const fn null() -> Self {
        Self(Atomic::new(ptr::null_mut()))
    }

    /// Loads the pointer.
    #[track_caller]
    pub(crate) fn load(&self) -> *mut T {
        let target = self.0.load(Acquire);
        machine::rcu::loaded(target as usize);
        target
    }

    /// Loads the pointer.
    #[track_caller]
    pub(crate) fn load_acquire(&self) -> *mut T {
        self.load()
    }

    /// Returns whether the pointer is null. It is not followed.
    #[track_caller]
    pub(crate) fn is_null(&self) -> bool {
        self.0.load(Relaxed).is_null()
    }

    /// Publishes `new`.
    #[track_caller]
    pub(crate) fn assign(&self, new: *mut T) {
        self.0.store(new, Release);
    }

    /// Sets the pointer of an object that no other CPU can reach yet, or that is being taken out.
    #[track_caller]
    pub(crate) fn set(&self, new: *mut T) {
        self.0.store(new, Release);
    }

    /// Publishes `new` if the pointer is `old`. Fully ordered on success.
    #[track_caller]
    pub(crate) fn replace(&self, old: *mut T, new: *mut T) -> bool {
        self.0.cmpxchg(old, new, Full).is_ok()
    }
}
