// SPDX-License-Identifier: GPL-2.0
//! Locks and allocations of the module that fail, for a while.

use std::fs::File;

use anyhow::{Context, Result, ensure};
use nix::errno::Errno;
use ostor::device::{self, fault_name, fault_points, set_fault};
use uapi::ostor_fault;

use crate::output::complain;

/// How to have what this needs.
const HOW: &str = "only the test flavour of the module can make locks and allocations fail; start \
                   with `scripts/vm --load-test -- …`, or in the guest `rmmod owner_storage` and \
                   `insmod owner_storage_test.ko`";

/// What is to happen.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Chances {
    /// How many of a hundred locks cannot be had.
    pub(crate) locks: u32,
    /// How many of a hundred allocations fail.
    pub(crate) allocs: u32,
    /// Microseconds that everyone spends at every point.
    pub(crate) delay_us: u32,
}

impl Chances {
    /// How a point is to be set; its name says what would fail there.
    fn at(&self, point: &ostor_fault) -> ostor_fault {
        let name = fault_name(point);
        let probability = match name.rsplit('_').next() {
            Some("lock") => self.locks,
            Some("alloc") => self.allocs,
            _ => 0,
        };
        ostor_fault {
            set: 1,
            probability,
            interval: 1,
            space: 0,
            times: -1,
            delay_us: self.delay_us,
            ..*point
        }
    }
}

/// What happened at a point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) name: String,
    /// How many came by.
    pub(crate) passed: u64,
    /// How many of them failed.
    pub(crate) failed: u64,
}

/// Faults that are on until this is dropped.
pub(crate) struct Faults {
    device: File,
    before: Vec<ostor_fault>,
}

impl Faults {
    /// Turns them on.
    pub(crate) fn turn_on(chances: &Chances) -> Result<Self> {
        let device = device::open()?;
        let before = match fault_points(&device) {
            Err(error) if error.errno() == Errno::ENOTTY => {
                return Err(anyhow::Error::from(error).context(HOW));
            }
            points => points?,
        };
        let faults = Self { device, before };
        for point in &faults.before {
            set_fault(&faults.device, chances.at(point)).with_context(|| fault_name(point))?;
        }
        let has = |kind| {
            let names = faults.before.iter().map(fault_name);
            names.into_iter().any(|name| name.ends_with(kind))
        };
        ensure!(
            has("_lock") && has("_alloc"),
            "the module names no lock or no allocation that could fail"
        );
        Ok(faults)
    }

    /// What has happened so far at the points that anyone came by.
    pub(crate) fn counts(&self) -> device::Result<Vec<Count>> {
        let points = fault_points(&self.device)?;
        let passed = points.into_iter().filter(|point| point.passed > 0);
        Ok(passed
            .map(|point| Count {
                name: fault_name(&point),
                passed: point.passed,
                failed: point.failed,
            })
            .collect())
    }

    /// The statistics, which need no memory this way.
    pub(crate) fn stats(&self) -> device::Result<uapi::ostor_stats> {
        device::stats_of(&self.device)
    }
}

impl Drop for Faults {
    fn drop(&mut self) {
        for point in &self.before {
            let again = ostor_fault { set: 1, ..*point };
            if let Err(error) = set_fault(&self.device, again) {
                complain(&format!("{} stays as it is: {error}", fault_name(point)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(name: &str) -> ostor_fault {
        let mut point = ostor_fault {
            times: 7,
            passed: 9,
            ..ostor_fault::default()
        };
        point.name[..name.len()].copy_from_slice(name.as_bytes());
        point
    }

    #[test]
    fn a_points_name_says_what_fails_there() {
        let chances = Chances {
            locks: 10,
            allocs: 5,
            delay_us: 3,
        };
        for (name, probability) in [
            ("bucket_lock", 10),
            ("element_alloc", 5),
            ("death_notice", 0),
            ("lock_order", 0),
        ] {
            let set = chances.at(&point(name));
            assert_eq!(set.probability, probability, "{name}");
            assert_eq!((set.set, set.interval, set.space), (1, 1, 0));
            assert_eq!((set.times, set.delay_us), (-1, 3));
        }
    }
}
