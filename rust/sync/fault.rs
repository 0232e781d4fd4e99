// SPDX-License-Identifier: GPL-2.0

//! Named points where a test can make a lock, an allocation or a notice fail, or stand still.
//!
//! They exist in the test flavour only; elsewhere the questions are constants. There each point is
//! a directory of debugfs, `owner_storage/fault/NAME/`, with files as those of the kernel's own
//! fault injection, which cannot be used here: it draws random numbers under a lock.

use super::res_lock::LockError;

/// A point that can fail.
#[derive(Copy, Clone, PartialEq, Eq)]
pub(crate) enum Point {
    /// The lock of a storage, taken to link or unlink an element.
    StorageLock,
    /// The lock of a bucket in a map's table, taken to unlink an element.
    BucketLock,
    /// The lock of a bucket in the owner index, taken to unlink a storage.
    IndexLock,
    /// The memory of an element.
    ElementAlloc,
    /// The memory of a storage.
    StorageAlloc,
    /// The first notice of an owner's death: a failure loses it.
    DeathNotice,
}

/// The error to return instead of taking the lock of `point`.
#[inline(always)]
pub(crate) fn lock(point: Point) -> Option<LockError> {
    imp::hit(point).then_some(LockError::Deadlock)
}

/// Whether the allocation at `point` is to fail.
#[inline(always)]
pub(crate) fn alloc(point: Point) -> bool {
    imp::hit(point)
}

/// Whether what is to happen at `point` is to be skipped.
#[inline(always)]
pub(crate) fn skip(point: Point) -> bool {
    imp::hit(point)
}

#[cfg(not(OSTOR_TEST))]
mod imp {
    #[inline(always)]
    pub(super) const fn hit(_point: super::Point) -> bool {
        false
    }
}

#[cfg(OSTOR_TEST)]
mod imp {
    use super::Point;
    use crate::sync::{
        Atomic,
        Relaxed, //
    };
    use kernel::{
        debugfs::Scope,
        prelude::*,
        str::CStr,
        time::{
            delay::udelay,
            Delta, //
        }, //
    };

    /// What happens at one point. All of it are files, so that nothing is kept in step with
    /// anything.
    struct Knobs {
        name: &'static CStr,
        /// Chance of a failure in percent; 0 is off.
        probability: Atomic<u32>,
        /// Of all that pass, one in so many may fail.
        interval: Atomic<u32>,
        /// How many failures are left; negative for any number.
        times: Atomic<i32>,
        /// Microseconds that all who pass spend here, with interrupts as they come. At most 1,000.
        delay_us: Atomic<u32>,
        /// How many came by while there was a chance.
        passed: Atomic<u64>,
        /// How many of them failed.
        failed: Atomic<u64>,
    }

    impl Knobs {
        const fn new(name: &'static CStr) -> Self {
            Self {
                name,
                probability: Atomic::new(0),
                interval: Atomic::new(1),
                times: Atomic::new(-1),
                delay_us: Atomic::new(0),
                passed: Atomic::new(0),
                failed: Atomic::new(0),
            }
        }

        fn hit(&self) -> bool {
            let delay = self.delay_us.load(Relaxed);
            if delay != 0 {
                udelay(Delta::from_micros(delay.min(1000).into()));
            }
            let probability = self.probability.load(Relaxed);
            if probability == 0 {
                return false;
            }
            let turn = self.passed.fetch_add(1, Relaxed);
            let interval = self.interval.load(Relaxed).max(1);
            let chosen =
                turn % u64::from(interval) == 0 && scatter(turn) % 100 < probability.into();
            let fails = chosen && self.take_one();
            if fails {
                self.failed.add(1, Relaxed);
            }
            fails
        }

        /// Takes one of the failures that are left.
        fn take_one(&self) -> bool {
            let mut left = self.times.load(Relaxed);
            while left > 0 {
                match self.times.cmpxchg(left, left - 1, Relaxed) {
                    Ok(_) => return true,
                    Err(now) => left = now,
                }
            }
            left < 0
        }
    }

    /// A number that looks random, of `n`: the finalizer of SplitMix64 (Steele, Lea, Flood, 2014).
    /// It needs no state, so it can be had in NMI.
    fn scatter(n: u64) -> u64 {
        let n = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let n = (n ^ n >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let n = (n ^ n >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        n ^ n >> 31
    }

    static KNOBS: [Knobs; 6] = [
        Knobs::new(c"storage_lock"),
        Knobs::new(c"bucket_lock"),
        Knobs::new(c"index_lock"),
        Knobs::new(c"element_alloc"),
        Knobs::new(c"storage_alloc"),
        Knobs::new(c"death_notice"),
    ];

    #[inline]
    pub(super) fn hit(point: Point) -> bool {
        KNOBS[point as usize].hit()
    }

    /// Makes `point` fail until the result is dropped, at most `times` times if that is positive.
    #[must_use = "dropping it ends the fault"]
    pub(crate) fn inject(point: Point, times: i32) -> Injected {
        let knobs = &KNOBS[point as usize];
        knobs.times.store(times, Relaxed);
        knobs.probability.store(100, Relaxed);
        Injected(point)
    }

    /// Makes `percent` of all that pass `point` fail until the result is dropped.
    #[must_use = "dropping it ends the fault"]
    pub(crate) fn inject_some(point: Point, percent: u32) -> Injected {
        KNOBS[point as usize].probability.store(percent, Relaxed);
        Injected(point)
    }

    /// A fault that is active.
    pub(crate) struct Injected(Point);

    impl Drop for Injected {
        fn drop(&mut self) {
            let knobs = &KNOBS[self.0 as usize];
            knobs.probability.store(0, Relaxed);
            knobs.times.store(-1, Relaxed);
        }
    }

    /// The points as files of debugfs, until it is dropped.
    pub(crate) type Files = Scope<()>;

    /// Makes the files.
    pub(crate) fn files() -> impl PinInit<Files> {
        Scope::dir((), c"owner_storage", |_, dir| {
            let dir = dir.dir(c"fault");
            for knobs in &KNOBS {
                let dir = dir.dir(knobs.name);
                dir.read_write_file(c"probability", &knobs.probability);
                dir.read_write_file(c"interval", &knobs.interval);
                dir.read_write_file(c"times", &knobs.times);
                dir.read_write_file(c"delay_us", &knobs.delay_us);
                dir.read_write_file(c"passed", &knobs.passed);
                dir.read_write_file(c"failed", &knobs.failed);
            }
        })
    }
}

#[cfg(OSTOR_TEST)]
pub(crate) use imp::{
    files,
    inject,
    inject_some,
    Files, //
};
