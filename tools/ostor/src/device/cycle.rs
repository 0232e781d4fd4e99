// SPDX-License-Identifier: GPL-2.0
//! Lock cycles of several CPUs, made on purpose.

use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use uapi::ostor_cycle;

use super::recurse::to_result;
use super::{Error, Result};
use crate::sys::ioctl;

/// What is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cycle {
    /// Each CPU holds a lock and wants the next one's.
    Ring,
    /// The first CPU holds a lock for that long, and all others want it.
    Stall(Duration),
}

/// How those who wanted a lock fared, and everybody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fate {
    /// What each got, and how long it took.
    pub seen: Vec<(std::result::Result<(), Errno>, Duration)>,
    /// Updates of another owner that succeeded meanwhile.
    pub others_ok: u64,
    /// Updates of another owner that failed meanwhile.
    pub others_failed: u64,
}

/// How often it is tried on a host so slow that the CPUs do not come together.
const TRIES: usize = 5;

impl Cycle {
    /// Makes it on some CPUs, by rising number, below 64.
    pub fn run(self, device: &impl AsFd, cpus: &[usize]) -> Result<Fate> {
        let (kind, stall) = match self {
            Self::Ring => (uapi::OSTOR_CYCLE_RING, Duration::ZERO),
            Self::Stall(time) => (uapi::OSTOR_CYCLE_STALL, time),
        };
        let mut arg = ostor_cycle {
            cpus: cpus.iter().fold(0, |set, cpu| set | (1 << cpu)),
            kind,
            stall_ms: stall.as_millis() as u32,
            ..ostor_cycle::default()
        };
        (0..TRIES)
            .map(|_| ioctl::cycle(device.as_fd(), &mut arg))
            .find(|result| *result != Err(Errno::EAGAIN))
            .unwrap_or(Err(Errno::EAGAIN))
            .map_err(Error::refused("make a lock cycle"))?;
        let holders = usize::from(self != Self::Ring);
        let seen = arg.seen.iter().take(cpus.len()).skip(holders);
        Ok(Fate {
            seen: seen
                .map(|seen| (to_result(seen.result), Duration::from_nanos(seen.ns)))
                .collect(),
            others_ok: arg.others_ok,
            others_failed: arg.others_failed,
        })
    }
}
