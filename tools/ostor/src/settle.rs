// SPDX-License-Identifier: GPL-2.0
//! Waiting for what the kernel finishes later: a grace period, a dying task.

use std::thread;
use std::time::{Duration, Instant};

use uapi::ostor_stats;

use crate::device::{self, Result};

/// How long the kernel may take before something counts as lost.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// What can be alive, or charged to sockets.
pub const ALIVE: [&str; 5] = ["maps", "elements", "storages", "bytes", "bytes charged"];

/// Asks again and again until the answer is yes, or the deadline has passed.
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

/// The statistics once nothing but what `before` counted is alive, or as they
/// stand at the deadline.
pub fn stats_back_to(before: &ostor_stats) -> Result<ostor_stats> {
    let mut now = device::stats()?;
    until(|| {
        now = device::stats()?;
        Ok(alive(&now) == alive(before))
    })?;
    Ok(now)
}

/// The bytes that are charged once they are what `before` counted, or as they stand
/// at the deadline.
pub fn charged_back_to(before: &ostor_stats) -> Result<u64> {
    let mut charged = 0;
    until(|| {
        charged = device::stats()?.charged;
        Ok(charged == before.charged)
    })?;
    Ok(charged)
}

/// What is alive, in the order of [`ALIVE`].
pub fn alive(stats: &ostor_stats) -> [u64; ALIVE.len()] {
    [
        stats.maps,
        stats.elements,
        stats.storages,
        stats.bytes,
        stats.charged,
    ]
}
