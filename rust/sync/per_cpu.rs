// SPDX-License-Identifier: GPL-2.0

//! One of something for each processor.

use super::{
    Atomic,
    Relaxed, //
};
use kernel::{
    cpu::{
        nr_cpu_ids,
        CpuId, //
    },
    prelude::*, //
};

/// A `T` for each processor that there can be, each in an allocation of its own.
///
/// Which of them a caller gets is a matter of speed: a task may go to another processor before it
/// uses it, and an interrupt may come in between. So a `T` is shared like anything else.
///
/// # Invariants
///
/// There is one for every [`CpuId`].
pub(crate) struct PerCpu<T>(KVec<Pin<KBox<T>>>);

impl<T> PerCpu<T> {
    /// Makes them. May sleep.
    pub(crate) fn new<E>(mut new: impl FnMut() -> Result<Pin<KBox<T>>, E>) -> Result<Self>
    where
        Error: From<E>,
    {
        let count = nr_cpu_ids() as usize;
        let mut all = KVec::with_capacity(count, GFP_KERNEL)?;
        for _ in 0..count {
            all.push(new()?, GFP_KERNEL)?;
        }
        // INVARIANT: So many as there are.
        Ok(Self(all))
    }

    /// That of this processor. Any context.
    #[inline(always)]
    pub(crate) fn this_cpu(&self) -> &T {
        let cpu = CpuId::current().as_u32() as usize;
        // SAFETY: By the type invariant.
        unsafe { self.0.get_unchecked(cpu) }
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|each| &**each)
    }
}

/// What one processor has counted of something. It may be less than nothing: what is counted up here
/// can be counted down elsewhere.
pub(crate) struct LocalCounter(Atomic<u64>);

impl Default for LocalCounter {
    fn default() -> Self {
        Self(Atomic::new(0))
    }
}

impl LocalCounter {
    /// Counts `n` up. Any context.
    #[inline(always)]
    pub(crate) fn add(&self, n: u64) {
        self.0.add(n, Relaxed);
    }

    /// Counts `n` down. Any context.
    #[inline(always)]
    pub(crate) fn sub(&self, n: u64) {
        self.0.add(n.wrapping_neg(), Relaxed);
    }
}

/// Counters of which each processor has its share, a `T` of [`LocalCounter`]s, in cache lines of its own.
///
/// What has stopped changing adds up exactly. Until then a sum is of no instant: of what is counted
/// up here and down there, it may have the one and not the other.
pub(crate) struct PerCpuCounters<T>(PerCpu<Line<T>>);

#[derive(Default)]
#[repr(align(64))]
struct Line<T>(T);

impl<T: Default> PerCpuCounters<T> {
    /// Counters at 0. May sleep.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(PerCpu::new(|| {
            KBox::pin(Line::default(), GFP_KERNEL)
        })?))
    }

    /// The shares of this processor. Any context.
    #[inline(always)]
    pub(crate) fn this_cpu(&self) -> &T {
        &self.0.this_cpu().0
    }

    /// Bytes that they take.
    pub(crate) fn bytes(&self) -> usize {
        self.0.iter().count() * (size_of::<Line<T>>() + size_of::<KBox<T>>())
    }

    /// The sum of one counter, 0 at least.
    pub(crate) fn sum(&self, which: impl Fn(&T) -> &LocalCounter) -> u64 {
        let share = |line: &Line<T>| which(&line.0).0.load(Relaxed);
        let sum = self.0.iter().map(share).fold(0, u64::wrapping_add);
        (sum as i64).max(0) as u64
    }
}
