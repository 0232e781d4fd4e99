// SPDX-License-Identifier: GPL-2.0

//! A lock whose acquisition can fail.

use super::fault::{
    self,
    Point, //
};
use core::cell::UnsafeCell;
use kernel::prelude::*;

/// Why a lock could not be had.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum LockError {
    /// This CPU holds the lock already, or holds one that the lock's holder waits for.
    Deadlock,
    /// The holder did not let go in time; here only the plan says so.
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

/// A `T` behind a lock, which the machine knows by its address.
pub(crate) struct ResLock<T> {
    word: UnsafeCell<u64>,
    data: UnsafeCell<T>,
}

// SAFETY: The lock hands the `T` to one CPU at a time; nothing else is shared.
unsafe impl<T: Send> Sync for ResLock<T> {}

impl<T> ResLock<T> {
    /// A lock that nobody holds.
    pub(crate) fn new(data: T) -> Self {
        Self {
            word: UnsafeCell::new(0),
            data: UnsafeCell::new(data),
        }
    }

    /// Runs `f` with the lock held; an error means that `f` was not run.
    pub(crate) fn with<R>(
        &self,
        point: Point,
        f: impl FnOnce(&mut T) -> R,
    ) -> Result<R, LockError> {
        if let Some(err) = fault::lock(point) {
            return Err(err);
        }
        let addr = self.word.get() as usize;
        if !machine::lock::acquire(addr) {
            return Err(LockError::Deadlock);
        }
        // SAFETY: The lock is held.
        let result = f(unsafe { &mut *self.data.get() });
        machine::lock::release(addr);
        Ok(result)
    }
}
