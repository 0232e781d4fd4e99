// SPDX-License-Identifier: GPL-2.0

//! Named points where a test can make a lock, an allocation or a notice fail, or stand still.
//!
//! They exist in the test flavour only; elsewhere the questions are constants. Lookups pass none.
//! `Documentation/testing.rst` says how they are set from user space.

#[cfg(OSTOR_TEST)]
pub(crate) mod knobs;
mod points;

use super::res_lock::LockError;

pub(crate) use points::Point;

/// The error to return instead of taking the lock of `point`.
#[inline(always)]
pub(crate) fn lock(point: Point) -> Option<LockError> {
    hit(point).then_some(LockError::Deadlock)
}

/// Whether the allocation at `point` is to fail.
#[inline(always)]
pub(crate) fn alloc(point: Point) -> bool {
    hit(point)
}

/// Whether what is to happen at `point` is to be skipped.
#[inline(always)]
pub(crate) fn skip(point: Point) -> bool {
    hit(point)
}

/// Stands still at `point`, if that is wanted. Any context.
#[inline(always)]
pub(crate) fn pause(point: Point) {
    hit(point);
}

#[cfg(not(OSTOR_TEST))]
#[inline(always)]
const fn hit(_point: Point) -> bool {
    false
}

#[cfg(OSTOR_TEST)]
fn hit(point: Point) -> bool {
    knobs::of(point).hit()
}
