// SPDX-License-Identifier: GPL-2.0

//! How a lock is taken: by spinning, or by a single try.

use crate::sync::{
    fault::Site,
    res_lock::ResLock, //
};

/// What is done about a lock that somebody holds.
pub(crate) trait LockMode {
    /// Runs `f` with the lock held; [`None`] if it could not be had. Any context.
    fn with<R>(lock: &ResLock<()>, site: Site, f: impl FnOnce() -> R) -> Option<R>;
}

/// Waits for it, as the lock does.
pub(crate) struct Spin;

impl LockMode for Spin {
    #[inline(always)]
    fn with<R>(lock: &ResLock<()>, site: Site, f: impl FnOnce() -> R) -> Option<R> {
        lock.with(site, |()| f()).ok()
    }
}

/// Does without.
pub(crate) struct TryLock;

impl LockMode for TryLock {
    #[inline(always)]
    fn with<R>(lock: &ResLock<()>, site: Site, f: impl FnOnce() -> R) -> Option<R> {
        lock.try_with(site, |()| f())
    }
}
