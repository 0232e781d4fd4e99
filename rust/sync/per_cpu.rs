// SPDX-License-Identifier: GPL-2.0

//! An object for each CPU.

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

/// A `T` for each possible CPU, each in an allocation of its own.
///
/// It saves cache misses and gives no exclusive access: the caller may migrate before it uses its
/// `T`, and an interrupt may use the same one. So a `T` is shared by all threads.
///
/// # Invariants
///
/// There is a `T` for every [`CpuId`].
pub(crate) struct PerCpu<T>(KVec<Pin<KBox<T>>>);

impl<T> PerCpu<T> {
    /// Calls `new` for each CPU. May sleep.
    pub(crate) fn new<E>(mut new: impl FnMut() -> Result<Pin<KBox<T>>, E>) -> Result<Self>
    where
        Error: From<E>,
    {
        let count = nr_cpu_ids() as usize;
        let mut all = KVec::with_capacity(count, GFP_KERNEL)?;
        for _ in 0..count {
            all.push(new()?, GFP_KERNEL)?;
        }
        // INVARIANT: A `CpuId` is less than `nr_cpu_ids`.
        Ok(Self(all))
    }

    /// That of this CPU. Any context.
    #[inline(always)]
    pub(crate) fn this_cpu(&self) -> &T {
        let cpu = CpuId::current().as_u32() as usize;
        // SAFETY: By the type invariant there is a `T` for this `CpuId`.
        unsafe { self.0.get_unchecked(cpu) }
    }

    /// Those of all CPUs.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|each| &**each)
    }
}

/// The part of a counter that one CPU has counted. It can be below 0, wrapped around: what one CPU
/// adds another one may subtract.
pub(crate) struct LocalCounter(Atomic<u64>);

impl Default for LocalCounter {
    fn default() -> Self {
        Self(Atomic::new(0))
    }
}

impl LocalCounter {
    /// Adds `n`. Any context.
    #[inline(always)]
    pub(crate) fn add(&self, n: u64) {
        self.0.add(n, Relaxed);
    }

    /// Subtracts `n`. Any context.
    #[inline(always)]
    pub(crate) fn sub(&self, n: u64) {
        self.0.add(n.wrapping_neg(), Relaxed);
    }
}

/// Counters that each CPU has a part of: a `T` of [`LocalCounter`]s, in cache lines of its own.
///
/// A sum is exact if the counter does not change meanwhile. Otherwise it is the value at no
/// instant: it may have an addition by one CPU and lack an earlier subtraction by another one.
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

    /// The part of this CPU. Any context.
    #[inline(always)]
    pub(crate) fn this_cpu(&self) -> &T {
        &self.0.this_cpu().0
    }

    /// Bytes of memory for all CPUs.
    pub(crate) fn bytes(&self) -> usize {
        self.0.iter().count() * (size_of::<Line<T>>() + size_of::<KBox<T>>())
    }

    /// The value of one counter: the sum of its parts, or 0 if that is negative.
    pub(crate) fn sum(&self, which: impl Fn(&T) -> &LocalCounter) -> u64 {
        let share = |line: &Line<T>| which(&line.0).0.load(Relaxed);
        let sum = self.0.iter().map(share).fold(0, u64::wrapping_add);
        (sum as i64).max(0) as u64
    }
}
