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

/// Why a lock was not taken.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum LockError {
    /// Waiting would not end: this CPU holds the lock already, or holds a lock that the lock's
    /// holder waits for.
    Deadlock,
    /// The holder did not release the lock within its time-out: 250 ms for the pending waiter, 500
    /// ms for the head of the queue, 1 s in the test-and-set fallback of virtual machines.
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
/// The lock is held while a closure runs. So locks are released in the reverse order of their
/// acquisition, which rqspinlock requires: its per-CPU table of held locks is a stack.
///
/// # Invariants
///
/// `data` is accessed only while `lock` is held.
pub(crate) struct ResLock<T> {
    lock: Opaque<bindings::rqspinlock_t>,
    data: UnsafeCell<T>,
}

// SAFETY: By the type invariant, one CPU at a time has access to the `T`, which is `Send`.
unsafe impl<T: Send> Sync for ResLock<T> {}
// SAFETY: A lock that is not held is tied to no CPU, and no lock is held that can be moved.
unsafe impl<T: Send> Send for ResLock<T> {}

impl<T> ResLock<T> {
    /// A lock that is not held.
    pub(crate) const fn new(data: T) -> Self {
        Self {
            // As `raw_res_spin_lock_init()` sets it.
            lock: Opaque::zeroed(),
            data: UnsafeCell::new(data),
        }
    }

    /// Runs `f` with the lock held and interrupts off.
    ///
    /// Any context, NMI included. The caller may hold other locks. If this returns an error, `f`
    /// was not run. A test can inject an error at `site`.
    #[inline(always)]
    pub(crate) fn with<R>(&self, site: Site, f: impl FnOnce(&mut T) -> R) -> Result<R, LockError> {
        lock_order::check(site);
        if let Some(err) = fault::lock(site) {
            return Err(err);
        }
        let mut flags: usize = 0;
        // SAFETY: The lock is initialised, and `flags` is valid for writes.
        let ret = unsafe { shim::ostor_res_lock_irqsave(self.lock.get(), &mut flags) };
        match ret {
            0 => {}
            ret if ret == EDEADLK.to_errno() => return Err(LockError::Deadlock),
            _ => return Err(LockError::Timeout),
        }
        // SAFETY: This CPU has just taken the lock with `flags`.
        Ok(unsafe { self.held(flags, site, f) })
    }

    /// Runs `f` as [`ResLock::with`] does if the lock is free. Otherwise returns [`None`] at once.
    /// A test can force that at `site`.
    #[inline(always)]
    pub(crate) fn try_with<R>(&self, site: Site, f: impl FnOnce(&mut T) -> R) -> Option<R> {
        lock_order::check(site);
        if fault::lock(site).is_some() {
            return None;
        }
        let mut flags: usize = 0;
        // SAFETY: The lock is initialised, and `flags` is valid for writes.
        if !unsafe { shim::ostor_res_trylock_irqsave(self.lock.get(), &mut flags) } {
            return None;
        }
        // SAFETY: This CPU has just taken the lock with `flags`.
        Some(unsafe { self.held(flags, site, f) })
    }

    /// Runs `f` and releases the lock.
    ///
    /// # Safety
    ///
    /// This CPU must have just taken the lock with `flags`.
    #[inline(always)]
    unsafe fn held<R>(&self, flags: usize, site: Site, f: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: This CPU holds the lock, so by the type invariant no other CPU accesses the data.
        // This CPU has no other reference to it, since it cannot take the lock again.
        let data = unsafe { &mut *self.data.get() };
        let result = lock_order::inside(site, || f(data));
        // SAFETY: This CPU has taken the lock with `flags`, by the contract. It has released each
        // lock that it took since then, as closures nest.
        unsafe { shim::ostor_res_unlock_irqrestore(self.lock.get(), flags) };
        result
    }
}
