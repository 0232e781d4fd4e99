// SPDX-License-Identifier: GPL-2.0

//! Time for measurements, and busy waiting.

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

/// Measures time on `CLOCK_MONOTONIC`. Not in NMI.
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

/// Nanoseconds of `CLOCK_MONOTONIC`. Any context. The time may go back a little from one CPU to
/// another, and in a context that interrupted an adjustment of the clock.
#[allow(dead_code, reason = "the torture module includes this file")]
#[inline]
pub(crate) fn now_ns() -> u64 {
    // SAFETY: An FFI call with no requirement.
    unsafe { bindings::ktime_get_mono_fast_ns() }
}

/// Spins for `us` microseconds. Any context.
#[cfg(OSTOR_TEST)]
pub(crate) fn busy_wait(us: u32) {
    /// Most microseconds of one `udelay()`.
    const STEP: u32 = 1000;

    let mut left = us;
    while left > 0 {
        let step = left.min(STEP);
        udelay(Delta::from_micros(step.into()));
        left -= step;
    }
}
