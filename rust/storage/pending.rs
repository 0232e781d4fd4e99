// SPDX-License-Identifier: GPL-2.0

//! Counts what waits for a grace period, and bounds it.

use crate::sync::{
    counter::Counter,
    nolock, //
};

/// Bounds on the bytes that wait for a grace period.
#[derive(Copy, Clone)]
pub(crate) struct Watermarks {
    /// From here on, grace periods are expedited.
    pub(crate) expedite: u64,
    /// From here on, nothing is created. The same bound holds for what waits for the drops of each
    /// map.
    pub(crate) limit: u64,
}

impl Watermarks {
    /// Watermarks from module parameters in KiB. 0 stands for the default, which depends on the
    /// size of the machine's memory.
    pub(crate) fn new(hurry: u32, limit: u32) -> Self {
        let bytes = |kib: u32, part: u64, least: u64| match kib {
            0 => (nolock::totalram() / part).max(least),
            kib => u64::from(kib) * 1024,
        };
        let expedite = bytes(hurry, 1024, 1 << 20);
        Self {
            expedite,
            limit: bytes(limit, 128, 4 << 20).max(expedite),
        }
    }
}

/// The bytes that wait on all CPUs, in steps of [`Pending::STEP`]. Each CPU can have nearly a whole
/// step more than it has added here.
///
/// So handing over writes the cache line that all CPUs share only once a step.
pub(super) struct Pending(Counter);

/// A number of bytes that [`Pending`] is compared with.
pub(super) struct Watermark(i64);

impl Pending {
    const STEP: u64 = 1 << 16;

    /// Nothing waits.
    pub(super) const fn new() -> Self {
        Self(Counter::new())
    }

    /// Returns whether about as many bytes wait.
    #[inline(always)]
    pub(super) fn has_reached(&self, mark: &Watermark) -> bool {
        // The sum is negative for a moment if a step is subtracted before it is added.
        self.0.get() as i64 >= mark.0
    }

    /// How many multiples of a step a sum of bytes passes that grows from `from` by `by`.
    fn steps(from: u64, by: Objects) -> u64 {
        let bytes = from & Objects::BYTES;
        (bytes + by.bytes()) / Self::STEP - bytes / Self::STEP
    }
}

impl Watermark {
    /// A watermark at `bytes`.
    pub(super) fn new(bytes: u64) -> Self {
        Self(bytes.div_ceil(Pending::STEP) as i64)
    }
}

/// A number of objects, in the high bits, and their size in bytes, in the low bits.
#[derive(Copy, Clone)]
pub(super) struct Objects(u64);

impl Objects {
    const ONE: u64 = 1 << 40;
    const BYTES: u64 = Self::ONE - 1;

    /// No objects.
    pub(super) const NONE: Self = Self(0);

    /// One object of `bytes` bytes.
    #[inline(always)]
    pub(super) const fn one(bytes: usize) -> Self {
        Self(Self::ONE.wrapping_add(bytes as u64))
    }

    /// The sum of the two.
    #[inline(always)]
    pub(super) fn plus(self, other: Self) -> Self {
        Self(self.0.wrapping_add(other.0))
    }

    /// The number of objects.
    pub(super) fn count(self) -> u64 {
        self.0 / Self::ONE
    }

    /// Their size in bytes.
    pub(super) fn bytes(self) -> u64 {
        self.0 & Self::BYTES
    }
}

/// What waits on one CPU: two sums of [`Objects`].
///
/// # Invariants
///
/// Both sums only grow, and `done` is a part of `handed`. The bytes of a sum may carry into its
/// number of objects. The difference of the two sums is exact as long as what waits fits into the
/// bits.
pub(super) struct CpuPending {
    /// All that was ever handed over.
    handed: Counter,
    /// All of that which does not wait any more.
    done: Counter,
}

impl CpuPending {
    /// Nothing waits.
    pub(super) const fn new() -> Self {
        Self {
            handed: Counter::new(),
            done: Counter::new(),
        }
    }

    /// Adds objects that are handed over. Any context.
    #[inline(always)]
    pub(super) fn add(&self, objects: Objects, all: &Pending) {
        let before = self.handed.fetch_add(objects.0);
        let changed = before ^ before.wrapping_add(objects.0);
        // The bits of the bytes at or above a step change if the sum passes a multiple of it.
        if changed & Objects::BYTES >= Pending::STEP {
            all.0.add(Pending::steps(before, objects));
        }
    }

    /// Subtracts objects that do not wait any more.
    pub(super) fn sub(&self, objects: Objects, all: &Pending) {
        let before = self.done.fetch_add(objects.0);
        let steps = Pending::steps(before, objects);
        if steps != 0 {
            all.0.sub(steps);
        }
    }

    /// The objects that wait.
    pub(super) fn get(&self) -> Objects {
        // `done` first: everything in it was in `handed` before.
        let done = self.done.get();
        Objects(self.handed.get().wrapping_sub(done))
    }
}
