// SPDX-License-Identifier: GPL-2.0

//! A lock whose acquisition can fail: rqspinlock.
//!
//! C header: [`include/asm-generic/rqspinlock.h`](srctree/include/asm-generic/rqspinlock.h)

use super::{
    compat::EDEADLK,
    fault::{
        self,
        Site, //
    },
    lock_order, //
};
use crate::shim;
use core::cell::UnsafeCell;
use kernel::{
    bindings,
    prelude::*,
    types::Opaque, //
};

/// Why a lock could not be had.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum LockError {
    /// Waiting would never end: this CPU holds the lock already, or holds one that the lock's
    /// holder waits for.
    Deadlock,
    /// The holder did not let go within the lock's time-out (250 ms as second in line, 500 ms at
    /// the head of the queue, 1 s in the test-and-set fallback of virtual machines).
    Timeout,
}

impl From<LockError> for Error {
    fn from(err: LockError) -> Error {
        match err {
            LockError::Deadlock => EDEADLK,
            LockError::Timeout => ETIMEDOUT,
        }
    }
}

/// A `T` behind an rqspinlock.
///
/// The lock is held for the run of a closure. That makes the order of release the reverse of the
/// order of acquisition by construction, which rqspinlock requires: its per-CPU table of held
/// locks is a stack.
///
/// # Invariants
///
/// `data` is accessed only while `lock` is held.
pub(crate) struct ResLock<T> {
    lock: Opaque<bindings::rqspinlock_t>,
    data: UnsafeCell<T>,
}

// SAFETY: The lock hands the `T` to one CPU at a time; nothing else is shared.
unsafe impl<T: Send> Sync for ResLock<T> {}
// SAFETY: The lock word is not tied to a CPU while it is not held, and moving it needs `&mut`.
unsafe impl<T: Send> Send for ResLock<T> {}

impl<T> ResLock<T> {
    /// A lock that nobody holds.
    pub(crate) const fn new(data: T) -> Self {
        Self {
            // What `raw_res_spin_lock_init()` sets it to.
            lock: Opaque::zeroed(),
            data: UnsafeCell::new(data),
        }
    }

    /// Runs `f` with the lock held and interrupts off.
    ///
    /// May be called in any context, NMI included, and with other locks held. An error means that
    /// `f` was not run; it can be injected at `site`.
    #[inline]
    pub(crate) fn with<R>(&self, site: Site, f: impl FnOnce(&mut T) -> R) -> Result<R, LockError> {
        lock_order::check(site);
        if let Some(err) = fault::lock(site) {
            return Err(err);
        }
        let mut flags: usize = 0;
        // SAFETY: The lock is one, and `flags` is ours to write.
        let ret = unsafe { shim::ostor_res_lock_irqsave(self.lock.get(), &mut flags) };
        match ret {
            0 => {}
            ret if ret == EDEADLK.to_errno() => return Err(LockError::Deadlock),
            _ => return Err(LockError::Timeout),
        }
        // SAFETY: This CPU has just taken the lock with `flags`.
        Ok(unsafe { self.held(flags, site, f) })
    }

    /// Runs `f` as [`ResLock::with`] does if the lock is free, else returns [`None`] at once: waits
    /// for nobody. That can be forced at `site`.
    #[inline]
    pub(crate) fn try_with<R>(&self, site: Site, f: impl FnOnce(&mut T) -> R) -> Option<R> {
        lock_order::check(site);
        if fault::lock(site).is_some() {
            return None;
        }
        let mut flags: usize = 0;
        // SAFETY: The lock is one, and `flags` is ours to write.
        if !unsafe { shim::ostor_res_trylock_irqsave(self.lock.get(), &mut flags) } {
            return None;
        }
        // SAFETY: This CPU has just taken the lock with `flags`.
        Some(unsafe { self.held(flags, site, f) })
    }

    /// Runs `f` and gives the lock back.
    ///
    /// # Safety
    ///
    /// This CPU must have just taken the lock with `flags`.
    #[inline(always)]
    unsafe fn held<R>(&self, flags: usize, site: Site, f: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: The lock is held, so by the type invariant no one else accesses the data; `f`
        // cannot come here again on this CPU, since a second acquisition fails.
        let data = unsafe { &mut *self.data.get() };
        let result = lock_order::inside(site, || f(data));
        // SAFETY: By the contract, and every lock taken since then has been released, since
        // closures nest.
        unsafe { shim::ostor_res_unlock_irqrestore(self.lock.get(), flags) };
        result
    }
}
