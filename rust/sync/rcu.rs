// SPDX-License-Identifier: GPL-2.0

//! RCU: the kernel crate's guard, and pointers that are read under it.
//!
//! C header: [`include/linux/rcupdate.h`](srctree/include/linux/rcupdate.h)

use super::{
    Atomic,
    Full,
    Relaxed,
    Release, //
};
use core::ptr;
use kernel::bindings;

pub(crate) use kernel::sync::rcu::{
    read_lock,
    Guard, //
};

/// Waits for a grace period. May sleep.
pub(crate) fn synchronize_rcu() {
    // SAFETY: An FFI call with no requirement but that it may sleep.
    unsafe { bindings::synchronize_rcu() };
}

/// As [`synchronize_rcu`], soon, at the cost of an interrupt on each CPU. May sleep.
pub(crate) fn synchronize_rcu_expedited() {
    // SAFETY: An FFI call with no requirement but that it may sleep.
    unsafe { bindings::synchronize_rcu_expedited() };
}

/// A pointer that readers follow under an RCU guard: `__rcu` in C.
///
/// The load is relaxed and ordered by its address dependency, as `rcu_dereference()`; the store
/// releases what was written to the pointee before, as `rcu_assign_pointer()`.
#[repr(transparent)]
pub(crate) struct RcuPtr<T>(Atomic<*mut T>);

impl<T> RcuPtr<T> {
    /// A null pointer.
    pub(crate) const fn null() -> Self {
        Self(Atomic::new(ptr::null_mut()))
    }

    /// Loads the pointer. It may be followed by whoever makes sure that the pointee is not freed
    /// before a grace period has passed since it was unlinked.
    #[inline(always)]
    pub(crate) fn load(&self) -> *mut T {
        self.0.load(Relaxed)
    }

    /// Whether the pointer is null, as `rcu_access_pointer()`: nobody follows it, so that needs no
    /// guard.
    #[inline(always)]
    pub(crate) fn is_null(&self) -> bool {
        self.0.load(Relaxed).is_null()
    }

    /// Publishes `new`.
    #[inline(always)]
    pub(crate) fn assign(&self, new: *mut T) {
        self.0.store(new, Release);
    }

    /// Sets the pointer of an object that nobody else can reach yet, or that is only being taken
    /// out.
    #[inline(always)]
    pub(crate) fn set(&self, new: *mut T) {
        self.0.store(new, Relaxed);
    }

    /// Publishes `new` if the pointer still is `old`. Fully ordered on success.
    #[inline(always)]
    pub(crate) fn replace(&self, old: *mut T, new: *mut T) -> bool {
        self.0.cmpxchg(old, new, Full).is_ok()
    }
}
