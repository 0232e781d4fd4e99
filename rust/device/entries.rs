// SPDX-License-Identifier: GPL-2.0

//! The array in user space that a listing fills.

use crate::{
    sync::deferred,
    uapi::OSTOR_LIST_MAX, //
};
use kernel::{
    prelude::*,
    transmute::AsBytes,
    uaccess::{
        UserPtr,
        UserSlice, //
    }, //
};

/// Where the next entry goes, and how many there may be.
pub(super) struct Entries {
    next: UserPtr,
    capacity: u32,
    count: u32,
}

impl Entries {
    /// No entries yet, in the array at `addr`. Fails with `EINVAL` if the address or the capacity
    /// is none.
    pub(super) fn new(addr: u64, capacity: u32) -> Result<Self> {
        if addr == 0 || !(1..=OSTOR_LIST_MAX).contains(&capacity) {
            return Err(EINVAL);
        }
        Ok(Self {
            next: UserPtr::from_addr(usize::try_from(addr)?),
            capacity,
            count: 0,
        })
    }

    /// The number of entries so far.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// Calls `write_next` as often as there is room for an entry. It writes one, by
    /// [`Entries::push`], or returns false if there is none. Returns the listing's `done`: 1 if
    /// there is no other entry, else 0. May sleep.
    pub(super) fn fill(
        &mut self,
        mut write_next: impl FnMut(&mut Self) -> Result<bool>,
    ) -> Result<u32> {
        while self.count < self.capacity {
            if !write_next(self)? {
                return Ok(1);
            }
            deferred::cond_resched();
        }
        Ok(0)
    }

    /// Writes an entry. There must be room. May sleep.
    pub(super) fn push<T: AsBytes>(&mut self, entry: &T) -> Result {
        append(&mut self.next, entry.as_bytes())?;
        self.count += 1;
        Ok(())
    }
}

/// Writes `bytes` to user space at `to`, and moves that behind them.
pub(super) fn append(to: &mut UserPtr, bytes: &[u8]) -> Result {
    UserSlice::new(*to, bytes.len())
        .writer()
        .write_slice(bytes)?;
    *to = to.wrapping_byte_add(bytes.len());
    Ok(())
}
