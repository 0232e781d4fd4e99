// SPDX-License-Identifier: GPL-2.0

//! Per-CPU objects: two of each for shuttle, and one for loom, which explores all interleavings.

use kernel::prelude::*;
use machine::{
    engine::Engine,
    lines, //
};
use std::cell::Cell;

/// A `T` per CPU.
pub(crate) struct PerCpu<T>(Vec<Pin<KBox<T>>>);

impl<T> PerCpu<T> {
    /// Makes a `T` for each CPU.
    pub(crate) fn new<E>(mut new: impl FnMut() -> Result<Pin<KBox<T>>, E>) -> Result<Self>
    where
        Error: From<E>,
    {
        let count = match machine::engine() {
            Engine::Loom => 1,
            Engine::Shuttle => 2,
        };
        let all: Result<Vec<_>, E> = (0..count).map(|_| new()).collect();
        Ok(Self(all?))
    }

    /// The `T` of this CPU.
    pub(crate) fn this_cpu(&self) -> &T {
        &self.0[machine::cpu() % self.0.len()]
    }

    /// The `T` of each CPU.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|each| &**each)
    }
}

/// The sum of what one CPU has counted. It can be negative.
#[derive(Default)]
pub(crate) struct LocalCounter(Cell<u64>);

// SAFETY: All threads of an execution are one thread of the host.
unsafe impl Sync for LocalCounter {}

impl LocalCounter {
    /// Adds `n`.
    #[track_caller]
    pub(crate) fn add(&self, n: u64) {
        lines::note(self.0.as_ptr() as usize, true);
        self.0.set(self.0.get().wrapping_add(n));
    }

    /// Subtracts `n`.
    #[track_caller]
    pub(crate) fn sub(&self, n: u64) {
        self.add(n.wrapping_neg());
    }
}

/// Counters of which each CPU has its own.
pub(crate) struct PerCpuCounters<T>(PerCpu<Line<T>>);

#[derive(Default)]
#[repr(align(64))]
struct Line<T>(T);

impl<T: Default> PerCpuCounters<T> {
    /// Counters at 0.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(PerCpu::new(|| {
            KBox::pin(Line::default(), GFP_KERNEL)
        })?))
    }

    /// The counters of this CPU.
    pub(crate) fn this_cpu(&self) -> &T {
        &self.0.this_cpu().0
    }

    /// Their size in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.0.iter().count() * size_of::<Line<T>>()
    }

    /// The sum of one counter over all CPUs, at one instant. It is not negative.
    pub(crate) fn sum(&self, which: impl Fn(&T) -> &LocalCounter) -> u64 {
        let share = |line: &Line<T>| which(&line.0).0.get();
        let sum = self.0.iter().map(share).fold(0, u64::wrapping_add);
        assert!(sum as i64 >= 0 || std::thread::panicking(), "a sum below 0");
        sum
    }
}
