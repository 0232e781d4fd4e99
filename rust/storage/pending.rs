// SPDX-License-Identifier: GPL-2.0

//! How much waits for a grace period, and how much may.

use crate::sync::{
    counter::Counter,
    nolock, //
};

/// How much may wait for a grace period, in bytes.
#[derive(Copy, Clone)]
pub(crate) struct Watermarks {
    /// From here on, grace periods are hurried.
    pub(crate) expedite: u64,
    /// From here on, nothing is created. Also what may wait for the drops of one map.
    pub(crate) limit: u64,
}

impl Watermarks {
    /// Watermarks in KiB; 0 for the default, a part of the machine's memory.
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

/// Bytes that wait on all processors, but for less than [`Pending::STEP`] on each, in steps of so
/// many.
///
/// Handing over writes what all processors share only once a step.
pub(super) struct Pending(Counter);

/// A number of bytes that [`Pending`] can reach.
pub(super) struct Watermark(i64);

impl Pending {
    const STEP: u64 = 1 << 16;

    /// Nothing waits.
    pub(super) const fn new() -> Self {
        Self(Counter::new())
    }

    /// Whether so many bytes wait, about.
    #[inline(always)]
    pub(super) fn has_reached(&self, mark: &Watermark) -> bool {
        // Below 0 for a moment, when a step is counted down before it is counted up.
        self.0.get() as i64 >= mark.0
    }

    /// How many steps a sum passes that goes up from `from` by `by`.
    fn steps(from: u64, by: Objects) -> u64 {
        let bytes = from & Objects::BYTES;
        (bytes + by.bytes()) / Self::STEP - bytes / Self::STEP
    }
}

impl Watermark {
    /// At so many bytes.
    pub(super) fn new(bytes: u64) -> Self {
        Self(bytes.div_ceil(Pending::STEP) as i64)
    }
}

/// A number of objects and their bytes, in the high and the low bits of one.
#[derive(Copy, Clone)]
pub(super) struct Objects(u64);

impl Objects {
    const ONE: u64 = 1 << 40;
    const BYTES: u64 = Self::ONE - 1;

    /// None.
    pub(super) const NONE: Self = Self(0);

    /// An object of `bytes` bytes.
    #[inline(always)]
    pub(super) const fn one(bytes: usize) -> Self {
        Self(Self::ONE.wrapping_add(bytes as u64))
    }

    /// These and those.
    #[inline(always)]
    pub(super) fn and(self, those: Self) -> Self {
        Self(self.0.wrapping_add(those.0))
    }

    /// How many.
    pub(super) fn count(self) -> u64 {
        self.0 / Self::ONE
    }

    /// Their bytes.
    pub(super) fn bytes(self) -> u64 {
        self.0 & Self::BYTES
    }
}

/// What waits on one processor: two sums of [`Objects`], of which the bytes may carry. The
/// difference of the sums is right as long as what waits has room in its bits.
pub(super) struct CpuPending {
    /// What was ever handed over.
    handed: Counter,
    /// What of that does not wait any more.
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

    /// Objects are handed over. Any context.
    #[inline(always)]
    pub(super) fn add(&self, objects: Objects, all: &Pending) {
        let before = self.handed.fetch_add(objects.0);
        let changed = before ^ before.wrapping_add(objects.0);
        // Of the bytes, those bits that change when the sum passes a step.
        if changed & Objects::BYTES >= Pending::STEP {
            all.0.add(Pending::steps(before, objects));
        }
    }

    /// They do not wait any more.
    pub(super) fn sub(&self, objects: Objects, all: &Pending) {
        let before = self.done.fetch_add(objects.0);
        let steps = Pending::steps(before, objects);
        if steps != 0 {
            all.0.sub(steps);
        }
    }

    /// The objects that wait.
    pub(super) fn get(&self) -> Objects {
        // In this order: what is done was handed over before.
        let done = self.done.get();
        Objects(self.handed.get().wrapping_sub(done))
    }
}
