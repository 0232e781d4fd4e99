// SPDX-License-Identifier: GPL-2.0
//! Lock cycles of several CPUs, made on purpose.

use std::time::Duration;

use nix::errno::Errno;
use uapi::ostor_cycle;

use super::{TortureDevice, ioctl, to_result};
use crate::device::{Error, Result};

/// What the driver makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cycle {
    /// Each CPU holds one lock and waits for the next CPU's.
    Ring,
    /// The first CPU holds a lock for that long, and the others wait for it.
    Stall(Duration),
}

/// What the CPUs of a cycle saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CycleOutcome {
    /// For each CPU that waited: the lock's result and the time until it came.
    pub waits: Vec<(std::result::Result<(), Errno>, Duration)>,
    /// Number of concurrent updates of another owner that succeeded.
    pub others_ok: u64,
    /// Number of concurrent updates of another owner that failed.
    pub others_failed: u64,
}

/// The driver returns EAGAIN if a slow host keeps the CPUs from meeting in time.
const TRIES: usize = 5;

impl Cycle {
    /// Makes the cycle on CPUs that are given in ascending order, each below 64.
    pub fn run(self, device: &TortureDevice, cpus: &[usize]) -> Result<CycleOutcome> {
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
            .map(|_| ioctl::cycle(device, &mut arg))
            .find(|result| *result != Err(Errno::EAGAIN))
            .unwrap_or(Err(Errno::EAGAIN))
            .map_err(Error::refused("make a lock cycle"))?;
        let holders = usize::from(self != Self::Ring);
        let waits = arg.seen.iter().take(cpus.len()).skip(holders);
        Ok(CycleOutcome {
            waits: waits
                .map(|wait| (to_result(wait.result), Duration::from_nanos(wait.ns)))
                .collect(),
            others_ok: arg.others_ok,
            others_failed: arg.others_failed,
        })
    }
}
