// SPDX-License-Identifier: GPL-2.0

//! Counters that many count on. What is decided by one may be decided a moment too late.

use super::{
    Atomic,
    Relaxed, //
};

/// A counter. Exact; two of them are not read at one instant.
pub(crate) struct Counter(Atomic<u64>);

impl Default for Counter {
    fn default() -> Self {
        Self::new()
    }
}

impl Counter {
    /// A counter at 0.
    pub(crate) const fn new() -> Self {
        Self(Atomic::new(0))
    }

    /// Counts `n` up. Any context.
    #[inline(always)]
    pub(crate) fn add(&self, n: u64) {
        self.0.add(n, Relaxed);
    }

    /// Counts `n` up, and returns how far it had counted before. Any context.
    pub(crate) fn fetch_add(&self, n: u64) -> u64 {
        self.0.fetch_add(n, Relaxed)
    }

    /// Counts `n` down. Any context.
    #[inline(always)]
    pub(crate) fn sub(&self, n: u64) {
        self.0.add(n.wrapping_neg(), Relaxed);
    }

    /// Counts up to `n`, unless it has come that far. Any context.
    pub(crate) fn raise_to(&self, n: u64) {
        let mut now = self.get();
        while now < n {
            match self.0.cmpxchg(now, n, Relaxed) {
                Ok(_) => return,
                Err(other) => now = other,
            }
        }
    }

    /// How far it has counted.
    #[inline(always)]
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}
