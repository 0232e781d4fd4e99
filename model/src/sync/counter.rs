// SPDX-License-Identifier: GPL-2.0

//! Counters by which no operation decides.
//!
//! So the engines need not schedule them. Each would double the number of interleavings.

use machine::lines;
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

    fn addr(&self) -> usize {
        self.0.as_ptr() as usize
    }

    /// Adds `n`, and returns the previous sum.
    #[track_caller]
    pub(crate) fn fetch_add(&self, n: u64) -> u64 {
        let before = self.0.get();
        self.add(n);
        before
    }

    /// Adds `n`.
    #[track_caller]
    pub(crate) fn add(&self, n: u64) {
        lines::note(self.addr(), true);
        self.0.set(self.0.get() + n);
    }

    /// Subtracts `n`. The sum must not become negative.
    #[track_caller]
    pub(crate) fn sub(&self, n: u64) {
        lines::note(self.addr(), true);
        let before = self.0.get();
        assert!(before >= n || std::thread::panicking(), "a count below 0");
        self.0.set(before.wrapping_sub(n));
    }

    /// The sum.
    #[track_caller]
    pub(crate) fn get(&self) -> u64 {
        lines::note(self.addr(), false);
        self.0.get()
    }
}
