// SPDX-License-Identifier: GPL-2.0

//! How much waits for a grace period, and how much may.

use crate::sync::{
    counter::Counter,
    nolock, //
};

/// How much may wait for a grace period, in bytes.
#[derive(Copy, Clone)]
pub(crate) struct Marks {
    /// From here on, grace periods are hurried.
    pub(crate) hurry: u64,
    /// From here on, nothing is created. Also what may wait for the drops of one map.
    pub(crate) limit: u64,
}

impl Marks {
    /// Marks in KiB; 0 for the default, a part of the machine's memory.
    pub(crate) fn new(hurry: u32, limit: u32) -> Self {
        let bytes = |kib: u32, part: u64, least: u64| match kib {
            0 => (nolock::memory() / part).max(least),
            kib => u64::from(kib) * 1024,
        };
        let hurry = bytes(hurry, 1024, 1 << 20);
        Self {
            hurry,
            limit: bytes(limit, 128, 4 << 20).max(hurry),
        }
    }
}

/// Bytes that wait on all processors, but for less than [`Pending::STEP`] on each.
///
/// Handing over writes what all processors share only once a step.
pub(super) struct Pending(Counter);

impl Pending {
    const STEP: u64 = 1 << 16;

    /// Nothing waits.
    pub(super) const fn new() -> Self {
        Self(Counter::new())
    }

    /// Bytes that wait, about.
    pub(super) fn bytes(&self) -> u64 {
        // A step can be counted down before it is counted up.
        (self.0.get() as i64).max(0) as u64 * Self::STEP
    }

    /// How many steps a sum passes that goes up from `from` by `by`.
    fn steps(from: u64, by: u64) -> u64 {
        let bytes = from & Part::BYTES;
        (bytes + by) / Self::STEP - bytes / Self::STEP
    }
}

/// What waits on one processor: two sums of objects and bytes, of which the bytes are the low bits
/// and may carry. The difference of the sums is right as long as what waits has room in its bits.
pub(super) struct Part {
    /// What was ever handed over.
    handed: Counter,
    /// What of that does not wait any more.
    done: Counter,
}

impl Part {
    const ONE: u64 = 1 << 40;
    const BYTES: u64 = Self::ONE - 1;

    /// Nothing waits.
    pub(super) const fn new() -> Self {
        Self {
            handed: Counter::new(),
            done: Counter::new(),
        }
    }

    /// Objects of `bytes` bytes together are handed over. Any context.
    #[inline(always)]
    pub(super) fn add(&self, objects: usize, bytes: usize, all: &Pending) {
        let (objects, bytes) = (objects as u64, bytes as u64);
        let before = self.handed.fetch_add(objects * Self::ONE + bytes);
        let steps = Pending::steps(before, bytes);
        if steps != 0 {
            all.0.add(steps);
        }
    }

    /// They do not wait any more.
    pub(super) fn sub(&self, objects: usize, bytes: usize, all: &Pending) {
        let (objects, bytes) = (objects as u64, bytes as u64);
        let before = self.done.fetch_add(objects * Self::ONE + bytes);
        let steps = Pending::steps(before, bytes);
        if steps != 0 {
            all.0.sub(steps);
        }
    }

    /// Objects and bytes that wait.
    pub(super) fn get(&self) -> (u64, u64) {
        // In this order: what is done was handed over before.
        let done = self.done.get();
        let waits = self.handed.get().wrapping_sub(done);
        (waits / Self::ONE, waits & Self::BYTES)
    }
}
