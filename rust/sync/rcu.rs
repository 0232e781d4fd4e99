// SPDX-License-Identifier: GPL-2.0

//! RCU: the kernel crate's guard, and pointers that readers load under it.
//!
//! C header: [`include/linux/rcupdate.h`](srctree/include/linux/rcupdate.h)

use super::{
    Acquire,
    Atomic,
    Full,
    Relaxed,
    Release, //
};
use crate::shim;
use core::ptr::{
    self,
    NonNull, //
};
use kernel::{
    bindings,
    ffi::c_ulong, //
};

pub(crate) use kernel::sync::rcu::{
    read_lock,
    Guard, //
};

/// The guard of a caller that is in an RCU read section already, which this does not end.
///
/// # Safety
///
/// The caller must be in that section as long as the result lives.
#[inline(always)]
pub(crate) unsafe fn assume_read_locked<'a>() -> &'a Guard {
    const { assert!(size_of::<Guard>() == 0) };
    // SAFETY: A `Guard` has no bytes. Its invariant is that there is a section, by the safety
    // requirements. It is not dropped, so it does not end that.
    unsafe { NonNull::dangling().as_ref() }
}

/// Waits for a grace period. May sleep.
pub(crate) fn synchronize_rcu() {
    // SAFETY: An FFI call with no requirement but that it may sleep.
    unsafe { bindings::synchronize_rcu() };
}

/// As [`synchronize_rcu`], but faster, at the cost of an interrupt on each CPU. May sleep.
pub(crate) fn synchronize_rcu_expedited() {
    // SAFETY: An FFI call with no requirement but that it may sleep.
    unsafe { bindings::synchronize_rcu_expedited() };
}

/// A grace period that has begun. Many that began at the same time cost one.
pub(crate) struct GracePeriod(c_ulong);

impl GracePeriod {
    /// Begins one. May sleep.
    pub(crate) fn begin() -> Self {
        // SAFETY: An FFI call with no requirement.
        Self(unsafe { shim::ostor_begin_grace_period() })
    }

    /// Waits for its end. May sleep.
    pub(crate) fn wait(&self) {
        // SAFETY: An FFI call with no requirement but that it may sleep.
        unsafe { shim::ostor_end_grace_period(self.0) };
    }
}

/// Frees an object, which is not dropped, after a grace period. May sleep.
///
/// # Safety
///
/// `object` must come from a [`KBox`](kernel::alloc::KBox). Only readers that have found it already
/// may use it from now on.
pub(crate) unsafe fn kfree_rcu<T>(object: NonNull<T>) {
    // SAFETY: The memory of a `KBox` comes from `kmalloc()`. The rest by the safety requirements.
    unsafe { shim::ostor_kfree_rcu(object.as_ptr().cast()) };
}

/// A pointer that readers follow under an RCU guard: `__rcu` in C.
///
/// | function         | order                | in C                                          |
/// |------------------|----------------------|-----------------------------------------------|
/// | [`load`]         | address dependency   | `rcu_dereference()`                           |
/// | [`load_acquire`] | acquire              | `smp_load_acquire()`                          |
/// | [`is_null`]      | none                 | `rcu_access_pointer()`                        |
/// | [`assign`]       | release              | `rcu_assign_pointer()`                        |
/// | [`set`]          | none                 | `RCU_INIT_POINTER()`                          |
/// | [`replace`]      | full, if it succeeds | `cmpxchg()`                                   |
///
/// [`load`]: Self::load
/// [`load_acquire`]: Self::load_acquire
/// [`is_null`]: Self::is_null
/// [`assign`]: Self::assign
/// [`set`]: Self::set
/// [`replace`]: Self::replace
#[repr(transparent)]
pub(crate) struct RcuPtr<T>(Atomic<*mut T>);

impl<T> RcuPtr<T> {
    /// A null pointer.
    pub(crate) const fn null() -> Self {
        Self(Atomic::new(ptr::null_mut()))
    }

    /// Loads the pointer. A caller with a guard may follow it if the pointee is freed no earlier
    /// than a grace period after its unlinking.
    #[inline(always)]
    pub(crate) fn load(&self) -> *mut T {
        self.0.load(Relaxed)
    }

    /// As [`RcuPtr::load`], and comes before all that follows, whether that follows the pointer or
    /// not.
    #[inline(always)]
    pub(crate) fn load_acquire(&self) -> *mut T {
        self.0.load(Acquire)
    }

    /// Whether the pointer is null. The pointer is not followed, so the caller needs no guard.
    #[inline(always)]
    pub(crate) fn is_null(&self) -> bool {
        self.0.load(Relaxed).is_null()
    }

    /// Publishes `new`, and what was written to it before.
    #[inline(always)]
    pub(crate) fn assign(&self, new: *mut T) {
        self.0.store(new, Release);
    }

    /// Sets the pointer of an object that no other thread can reach yet, or sets a pointer to an
    /// object that readers can reach already.
    #[inline(always)]
    pub(crate) fn set(&self, new: *mut T) {
        self.0.store(new, Relaxed);
    }

    /// Publishes `new` if the pointer is `old`. Returns whether it was.
    #[inline(always)]
    pub(crate) fn replace(&self, old: *mut T, new: *mut T) -> bool {
        self.0.cmpxchg(old, new, Full).is_ok()
    }
}
