// SPDX-License-Identifier: GPL-2.0

//! Counters by which no operation decides.
//!
//! So the engines need not schedule them. Each would double the number of interleavings.

use machine::word::note_write;
use std::cell::Cell;

/// A counter.
#[derive(Default)]
pub(crate) struct Counter(Cell<u64>);

// SAFETY: All threads of an execution are one thread of the host.
unsafe impl Sync for Counter {}

impl Counter {
    /// A counter at 0.
    pub(crate) const fn new() -> Self {
        Self(Cell::new(0))
    }

    /// Adds `n`, and returns the previous sum.
    pub(crate) fn fetch_add(&self, n: u64) -> u64 {
        self.add(n);
        self.get() - n
    }

    /// Adds `n`.
    pub(crate) fn add(&self, n: u64) {
        note_write(self.0.as_ptr() as usize);
        self.0.set(self.0.get() + n);
    }

    /// Subtracts `n`. The sum must not become negative.
    pub(crate) fn sub(&self, n: u64) {
        note_write(self.0.as_ptr() as usize);
        let before = self.0.get();
        assert!(before >= n || std::thread::panicking(), "a count below 0");
        self.0.set(before.wrapping_sub(n));
    }

    /// The sum.
    pub(crate) fn get(&self) -> u64 {
        self.0.get()
    }
}
