// SPDX-License-Identifier: GPL-2.0

//! Named points where a test can make a lock or an allocation fail.
//!
//! They exist in the test flavour only; elsewhere the questions are constants.

use super::res_lock::LockError;

/// A point that can fail.
#[derive(Copy, Clone, PartialEq, Eq)]
pub(crate) enum Point {
    /// The lock of a storage, taken to link or unlink an element.
    StorageLock,
    /// The lock of a bucket in a map's table, taken to unlink an element.
    BucketLock,
    /// The lock of a bucket in the owner index, taken to unlink a storage.
    IndexLock,
    /// The memory of an element.
    ElementAlloc,
    /// The memory of a storage.
    StorageAlloc,
}

/// The error to return instead of taking the lock of `point`.
#[inline(always)]
pub(crate) fn lock(point: Point) -> Option<LockError> {
    imp::hit(point).then_some(LockError::Deadlock)
}

/// Whether the allocation at `point` is to fail.
#[inline(always)]
pub(crate) fn alloc(point: Point) -> bool {
    imp::hit(point)
}

#[cfg(not(OSTOR_TEST))]
mod imp {
    #[inline(always)]
    pub(super) const fn hit(_point: super::Point) -> bool {
        false
    }
}

#[cfg(OSTOR_TEST)]
mod imp {
    use super::Point;
    use crate::sync::{
        Atomic,
        Relaxed, //
    };

    /// How often each point still fails; negative for as long as it stays so.
    static LEFT: [Atomic<i32>; 5] = [const { Atomic::new(0) }; 5];

    #[inline]
    pub(super) fn hit(point: Point) -> bool {
        let left = &LEFT[point as usize];
        loop {
            match left.load(Relaxed) {
                0 => return false,
                n if n < 0 => return true,
                n if left.cmpxchg(n, n - 1, Relaxed).is_ok() => return true,
                _ => {}
            }
        }
    }

    /// Makes `point` fail until the result is dropped, at most `times` times if that is positive.
    #[must_use = "dropping it ends the fault"]
    pub(crate) fn inject(point: Point, times: i32) -> Injected {
        LEFT[point as usize].store(times, Relaxed);
        Injected(point)
    }

    /// A fault that is active.
    pub(crate) struct Injected(Point);

    impl Drop for Injected {
        fn drop(&mut self) {
            LEFT[self.0 as usize].store(0, Relaxed);
        }
    }
}

#[cfg(OSTOR_TEST)]
pub(crate) use imp::inject;
