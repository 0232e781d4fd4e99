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
    /// No entries yet, in the array at `addr`. Fails with `EINVAL` if the address or the capacity is
    /// none.
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

    /// Whether there is no room for another entry.
    pub(super) fn is_full(&self) -> bool {
        self.count >= self.capacity
    }

    /// Writes an entry, and lets other threads run. May sleep.
    #[inline(always)]
    pub(super) fn push<T: AsBytes>(&mut self, entry: &T) -> Result {
        append(&mut self.next, entry.as_bytes())?;
        self.count += 1;
        deferred::cond_resched();
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
