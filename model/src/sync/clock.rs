// SPDX-License-Identifier: GPL-2.0

//! A clock that stands still.

/// Measures nothing.
pub(crate) struct Stopwatch;

impl Stopwatch {
    /// Starts now.
    pub(crate) fn start() -> Self {
        Self
    }

    /// Nanoseconds since the start.
    pub(crate) fn elapsed_ns(&self) -> u64 {
        0
    }
}
