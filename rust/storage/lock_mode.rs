// SPDX-License-Identifier: GPL-2.0

//! How a CPU takes the lock of a storage or bucket: by spinning, or by a single try.

use crate::sync::{
    fault::Site,
    res_lock::ResLock, //
};

/// What to do if another CPU holds the lock.
pub(crate) trait LockMode {
    /// Runs `f` with the lock held. Returns [`None`] if the lock was not taken. Any context.
    fn with<R>(lock: &ResLock<()>, site: Site, f: impl FnOnce() -> R) -> Option<R>;
}

/// Spins until the lock is free, or rqspinlock detects a deadlock or a time-out.
pub(crate) struct Spin;

impl LockMode for Spin {
    #[inline(always)]
    fn with<R>(lock: &ResLock<()>, site: Site, f: impl FnOnce() -> R) -> Option<R> {
        lock.with(site, |()| f()).ok()
    }
}

/// Does not take the lock if it is not free.
pub(crate) struct TryLock;

impl LockMode for TryLock {
    #[inline(always)]
    fn with<R>(lock: &ResLock<()>, site: Site, f: impl FnOnce() -> R) -> Option<R> {
        lock.try_with(site, |()| f())
    }
}
