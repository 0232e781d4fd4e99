// SPDX-License-Identifier: GPL-2.0

//! The clock that measurements read.

use kernel::{
    bindings,
    time::{
        Instant,
        Monotonic, //
    }, //
};

#[cfg(OSTOR_TEST)]
use kernel::time::{
    delay::udelay,
    Delta, //
};

/// Measures a stretch of `CLOCK_MONOTONIC`. Not in NMI.
pub(crate) struct Stopwatch(Instant<Monotonic>);

impl Stopwatch {
    /// Starts now.
    #[inline(always)]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// Nanoseconds since the start.
    #[inline(always)]
    pub(crate) fn elapsed_ns(&self) -> u64 {
        self.0.elapsed().as_nanos().unsigned_abs()
    }
}

/// Nanoseconds of `CLOCK_MONOTONIC` in any context; from one CPU to another, and over an adjustment
/// of the clock that it came into, they can go back a little.
#[inline]
pub(crate) fn now_ns() -> u64 {
    // SAFETY: An FFI call with no requirement.
    unsafe { bindings::ktime_get_mono_fast_ns() }
}

/// Is busy for so many microseconds. Any context.
#[cfg(OSTOR_TEST)]
pub(crate) fn busy_wait(us: u32) {
    /// Most of one delay.
    const STEP: u32 = 1000;

    let mut left = us;
    while left > 0 {
        let step = left.min(STEP);
        udelay(Delta::from_micros(step.into()));
        left -= step;
    }
}
