// SPDX-License-Identifier: GPL-2.0

//! The settings of each site: for debugfs, for the device and for KUnit.
//!
//! A site is a directory of debugfs, `owner_storage/fault/NAME/`, with files as the kernel's fault
//! injection has. That cannot be used here: it draws random numbers under a lock.

use super::Site;
use crate::sync::{
    Atomic,
    Relaxed, //
};
use core::fmt;
use kernel::{
    debugfs::{
        Reader,
        Scope, //
    },
    prelude::*,
    time::{
        delay::udelay,
        Delta, //
    },
    uaccess::UserSliceReader, //
};

/// Most microseconds of a delay.
const DELAY_MAX: u32 = 1000;

/// The settings of a site.
#[derive(Copy, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Chance of a failure in percent; 0 is off.
    pub probability: u32,
    /// One in so many calls may fail.
    pub interval: u32,
    /// How many calls pass before the first that may fail.
    pub space: u32,
    /// How many calls may still fail; any number if it is negative.
    pub times: i32,
    /// Microseconds that each call spins. Interrupts are left on or off as they are.
    pub delay_us: u32,
}

impl Settings {
    /// No failure, and no delay.
    pub(crate) const OFF: Self = Self {
        probability: 0,
        interval: 1,
        space: 0,
        times: -1,
        delay_us: 0,
    };
}

/// A number within bounds. Its file refuses any other one.
///
/// # Invariants
///
/// The value is one that [`Bounded::allows`].
struct Bounded<const MIN: u32, const MAX: u32>(Atomic<u32>);

impl<const MIN: u32, const MAX: u32> Bounded<MIN, MAX> {
    const fn new(value: u32) -> Self {
        Self(Atomic::new(value))
    }

    fn allows(value: u32) -> bool {
        (MIN..=MAX).contains(&value)
    }

    fn load(&self) -> u32 {
        self.0.load(Relaxed)
    }

    /// Sets `value`, which must be allowed.
    fn store(&self, value: u32) {
        self.0.store(value, Relaxed);
    }
}

impl<const MIN: u32, const MAX: u32> fmt::Debug for Bounded<MIN, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.load(), f)
    }
}

impl<const MIN: u32, const MAX: u32> Reader for Bounded<MIN, MAX> {
    fn read_from_slice(&self, reader: &mut UserSliceReader) -> Result {
        let written = Atomic::new(MIN);
        written.read_from_slice(reader)?;
        let value = written.load(Relaxed);
        if !Self::allows(value) {
            return Err(EINVAL);
        }
        self.store(value);
        Ok(())
    }
}

type Percent = Bounded<0, 100>;
type Interval = Bounded<1, { u32::MAX }>;
type Delay = Bounded<0, DELAY_MAX>;

/// The settings and counts of one site. Each field but `turn` is a file that user space may write
/// at any time, so no two fields are consistent with each other.
pub(crate) struct Knobs {
    probability: Percent,
    interval: Interval,
    space: Atomic<u32>,
    times: Atomic<i32>,
    delay_us: Delay,
    /// Calls so far that could fail: `probability` was not 0, and `space` was used up.
    turn: Atomic<u64>,
    /// Calls so far while `probability` or `delay_us` was not 0.
    passed: Atomic<u64>,
    /// How many of these failed.
    failed: Atomic<u64>,
}

static KNOBS: [Knobs; Site::ALL.len()] = [const { Knobs::new() }; Site::ALL.len()];

/// The knobs of `site`.
pub(crate) fn of(site: Site) -> &'static Knobs {
    &KNOBS[site as usize]
}

impl Knobs {
    const fn new() -> Self {
        Self {
            probability: Bounded::new(0),
            interval: Bounded::new(1),
            space: Atomic::new(0),
            times: Atomic::new(-1),
            delay_us: Bounded::new(0),
            turn: Atomic::new(0),
            passed: Atomic::new(0),
            failed: Atomic::new(0),
        }
    }

    /// The settings now.
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            probability: self.probability.load(),
            interval: self.interval.load(),
            space: self.space.load(Relaxed),
            times: self.times.load(Relaxed),
            delay_us: self.delay_us.load(),
        }
    }

    /// Calls since [`set`] while there was a probability or a delay.
    pub(crate) fn passed(&self) -> u64 {
        self.passed.load(Relaxed)
    }

    /// How many of these failed.
    pub(crate) fn failed(&self) -> u64 {
        self.failed.load(Relaxed)
    }

    /// Stores `new`, the probability last: no call fails by a mix of old and new settings.
    fn set(&self, new: Settings) {
        self.probability.store(0);
        self.interval.store(new.interval);
        self.space.store(new.space, Relaxed);
        self.times.store(new.times, Relaxed);
        self.delay_us.store(new.delay_us);
        self.turn.store(0, Relaxed);
        self.passed.store(0, Relaxed);
        self.failed.store(0, Relaxed);
        self.probability.store(new.probability);
    }

    /// Applies the settings to a call. Returns whether it is to fail.
    pub(super) fn hit(&self) -> bool {
        let delay = self.delay_us.load();
        let probability = self.probability.load();
        if delay == 0 && probability == 0 {
            return false;
        }
        self.passed.add(1, Relaxed);
        udelay(Delta::from_micros(delay.into()));
        let fails = probability != 0 && self.is_chosen(probability) && self.take_one();
        if fails {
            self.failed.add(1, Relaxed);
        }
        fails
    }

    /// Whether `space`, `interval` and `probability` choose this call.
    fn is_chosen(&self, probability: u32) -> bool {
        if self.is_spared() {
            return false;
        }
        let turn = self.turn.fetch_add(1, Relaxed);
        let interval = u64::from(self.interval.load());
        turn.checked_rem(interval) == Some(0) && scatter(turn) % 100 < probability.into()
    }

    /// Counts `space` down. Returns false if it was 0.
    fn is_spared(&self) -> bool {
        let mut left = self.space.load(Relaxed);
        while left > 0 {
            match self.space.cmpxchg(left, left - 1, Relaxed) {
                Ok(_) => return true,
                Err(now) => left = now,
            }
        }
        false
    }

    /// Counts `times` down, unless it is negative. Returns false if it was 0.
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

/// A pseudo-random number from `n`: the finalizer of SplitMix64 (Steele, Lea, Flood, 2014). It has
/// no state, so an NMI can call it.
fn scatter(n: u64) -> u64 {
    let n = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ n >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ n >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ n >> 31
}

/// Sets `new` at `site`, and its counts to 0. Fails with `EINVAL`, and changes nothing, if a
/// setting is out of bounds, or if a probability is set for a site that cannot fail.
pub(crate) fn set(site: Site, new: Settings) -> Result {
    if !Percent::allows(new.probability)
        || !Interval::allows(new.interval)
        || !Delay::allows(new.delay_us)
        || new.probability != 0 && !site.can_fail()
    {
        return Err(EINVAL);
    }
    of(site).set(new);
    Ok(())
}

/// The files of debugfs, until it is dropped.
pub(crate) type Files = Scope<()>;

/// Makes the files.
pub(crate) fn files() -> impl PinInit<Files> {
    Scope::dir((), c"owner_storage", |_, dir| {
        let dir = dir.dir(c"fault");
        for site in Site::ALL {
            let knobs = of(*site);
            let dir = dir.dir(site.name());
            dir.read_write_file(c"delay_us", &knobs.delay_us);
            dir.read_write_file(c"passed", &knobs.passed);
            if site.can_fail() {
                dir.read_write_file(c"probability", &knobs.probability);
                dir.read_write_file(c"interval", &knobs.interval);
                dir.read_write_file(c"space", &knobs.space);
                dir.read_write_file(c"times", &knobs.times);
                dir.read_write_file(c"failed", &knobs.failed);
            }
        }
    })
}
