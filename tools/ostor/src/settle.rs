// SPDX-License-Identifier: GPL-2.0
//! Waiting for work that the kernel finishes later, after a grace period or the exit of a
//! task.

use std::thread;
use std::time::{Duration, Instant};

use uapi::ostor_stats;

use crate::device::{self, Result};

/// Longest time that such work may take.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Names of the counts of live objects and charged bytes.
pub const ALIVE: [&str; 5] = ["maps", "elements", "storages", "bytes", "bytes charged"];

/// Repeats `ask` until it returns true or the deadline has passed. Returns the last answer.
pub fn until(mut ask: impl FnMut() -> Result<bool>) -> Result<bool> {
    let start = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        if ask()? {
            return Ok(true);
        }
        if start.elapsed() > DEADLINE {
            return Ok(false);
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// Waits until the counts of live objects are those of `before`. Returns the statistics then,
/// or at the deadline.
pub fn stats_back_to(before: &ostor_stats) -> Result<ostor_stats> {
    let mut now = device::stats()?;
    until(|| {
        now = device::stats()?;
        Ok(alive(&now) == alive(before))
    })?;
    Ok(now)
}

/// Waits until the charged bytes are those of `before`. Returns them, then or at the
/// deadline.
pub fn charged_back_to(before: &ostor_stats) -> Result<u64> {
    let mut charged = 0;
    until(|| {
        charged = device::stats()?.charged;
        Ok(charged == before.charged)
    })?;
    Ok(charged)
}

/// The counts of live objects and charged bytes, in the order of [`ALIVE`].
pub fn alive(stats: &ostor_stats) -> [u64; ALIVE.len()] {
    [
        stats.maps,
        stats.elements,
        stats.storages,
        stats.bytes,
        stats.charged,
    ]
}
