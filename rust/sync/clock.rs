// SPDX-License-Identifier: GPL-2.0

//! The clock that measurements read.

use kernel::time::{
    Instant,
    Monotonic, //
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
