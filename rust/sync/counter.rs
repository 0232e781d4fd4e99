// SPDX-License-Identifier: GPL-2.0

//! Counters that all CPUs write. A decision by such a value may come a moment too late.

use super::{
    Atomic,
    Relaxed, //
};

/// A counter. It is exact; two counters are not read at the same instant.
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

    /// Adds `n`. Any context.
    #[inline(always)]
    pub(crate) fn add(&self, n: u64) {
        self.0.add(n, Relaxed);
    }

    /// Adds `n`, and returns the value before that. Any context.
    pub(crate) fn fetch_add(&self, n: u64) -> u64 {
        self.0.fetch_add(n, Relaxed)
    }

    /// Subtracts `n`. Any context.
    #[inline(always)]
    pub(crate) fn sub(&self, n: u64) {
        self.0.add(n.wrapping_neg(), Relaxed);
    }

    /// Sets the counter to `n`, unless it is larger. Any context.
    #[allow(dead_code, reason = "the torture module includes this file")]
    pub(crate) fn raise_to(&self, n: u64) {
        let mut now = self.get();
        while now < n {
            match self.0.cmpxchg(now, n, Relaxed) {
                Ok(_) => return,
                Err(other) => now = other,
            }
        }
    }

    /// The value.
    #[inline(always)]
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}
