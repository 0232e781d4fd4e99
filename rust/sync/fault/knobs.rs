// SPDX-License-Identifier: GPL-2.0

//! What happens at each site: as files of debugfs, for the device, and for tests.
//!
//! Each site is a directory, `owner_storage/fault/NAME/`, with files as those of the kernel's own
//! fault injection, which cannot be used here: it draws random numbers under a lock.

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

/// Most microseconds that a site can stand still.
const DELAY_MAX: u32 = 1000;

/// What is to happen at a site.
#[derive(Copy, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Chance of a failure in percent; 0 is off.
    pub(crate) probability: u32,
    /// Of all that pass, one in so many may fail.
    pub(crate) interval: u32,
    /// How many still pass before the first may fail.
    pub(crate) space: u32,
    /// How many failures are left; negative for any number.
    pub(crate) times: i32,
    /// Microseconds that all who pass spend here, with interrupts as they come.
    pub(crate) delay_us: u32,
}

impl Settings {
    /// Nothing happens.
    pub(crate) const OFF: Self = Self {
        probability: 0,
        interval: 1,
        space: 0,
        times: -1,
        delay_us: 0,
    };
}

/// A number that a file takes only if it is in bounds.
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

    /// Sets a value that is allowed.
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

/// What happens at one site. All but `turn` are files, so that nothing is kept in step with
/// anything.
pub(crate) struct Knobs {
    probability: Percent,
    interval: Interval,
    space: Atomic<u32>,
    times: Atomic<i32>,
    delay_us: Delay,
    /// How many came by, with a chance, when `space` was used up.
    turn: Atomic<u64>,
    /// How many came by while there was a chance or a delay.
    passed: Atomic<u64>,
    /// How many of them failed.
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

    /// What is set now.
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            probability: self.probability.load(),
            interval: self.interval.load(),
            space: self.space.load(Relaxed),
            times: self.times.load(Relaxed),
            delay_us: self.delay_us.load(),
        }
    }

    /// How many came by while there was a chance or a delay.
    pub(crate) fn passed(&self) -> u64 {
        self.passed.load(Relaxed)
    }

    /// How many of them failed.
    pub(crate) fn failed(&self) -> u64 {
        self.failed.load(Relaxed)
    }

    /// The chance comes last, so that nobody fails by one of these settings and one of the old.
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

    fn is_chosen(&self, probability: u32) -> bool {
        if self.is_spared() {
            return false;
        }
        let turn = self.turn.fetch_add(1, Relaxed);
        let interval = u64::from(self.interval.load());
        turn.checked_rem(interval) == Some(0) && scatter(turn) % 100 < probability.into()
    }

    /// Takes one of those that still pass.
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

/// Sets what happens at `site`, and counts anew. Fails with `EINVAL`, and changes nothing, if a
/// setting is out of bounds or the site cannot fail but is to.
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

/// The sites as files of debugfs, until it is dropped.
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
