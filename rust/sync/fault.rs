// SPDX-License-Identifier: GPL-2.0

//! Named sites where a test can make a lock, an allocation or a notice fail, or stand still.
//!
//! They exist in the test flavour only; elsewhere the questions are constants. Lookups pass none.
//! `Documentation/testing.rst` says how they are set from user space.

#[cfg(OSTOR_TEST)]
pub(crate) mod knobs;
mod sites;

use super::res_lock::LockError;

pub(crate) use sites::Site;

/// The error to return instead of taking the lock of `site`.
#[inline(always)]
pub(crate) fn lock(site: Site) -> Option<LockError> {
    hit(site).then_some(LockError::Deadlock)
}

/// Whether the allocation at `site` is to fail.
#[inline(always)]
pub(crate) fn alloc(site: Site) -> bool {
    hit(site)
}

/// Whether what is to happen at `site` is to be skipped.
#[inline(always)]
pub(crate) fn skip(site: Site) -> bool {
    hit(site)
}

/// Stands still at `site`, if that is wanted. Any context.
#[inline(always)]
pub(crate) fn pause(site: Site) {
    hit(site);
}

#[cfg(not(OSTOR_TEST))]
#[inline(always)]
const fn hit(_site: Site) -> bool {
    false
}

#[cfg(OSTOR_TEST)]
fn hit(site: Site) -> bool {
    knobs::of(site).hit()
}
