// SPDX-License-Identifier: GPL-2.0

//! Named sites where a test can make a lock, an allocation or a notice fail, or delay it.
//!
//! They exist in the test flavour only. In the others these functions return constants. Lookups
//! pass no site. `Documentation/testing.rst` says how user space sets them.

#[cfg(OSTOR_TEST)]
pub(crate) mod knobs;
mod sites;

use super::res_lock::LockError;

pub(crate) use sites::Site;

/// The error that a test wants in place of the lock at `site`.
#[inline(always)]
pub(crate) fn lock(site: Site) -> Option<LockError> {
    hit(site).then_some(LockError::Deadlock)
}

/// Whether a test wants the allocation at `site` to fail.
#[inline(always)]
pub(crate) fn alloc(site: Site) -> bool {
    hit(site)
}

/// Whether a test wants the action at `site` to be skipped.
#[inline(always)]
pub(crate) fn skip(site: Site) -> bool {
    hit(site)
}

/// Delays the caller, if a test wants that at `site`. Any context.
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
