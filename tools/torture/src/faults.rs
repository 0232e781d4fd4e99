// SPDX-License-Identifier: GPL-2.0
//! Fault injection for the duration of a run.

use std::fs::File;

use anyhow::{Context, Result, ensure};
use ostor::device;
use ostor::output::complain;
use ostor::torture::{TortureDevice, fault_name, fault_sites, need_test_flavour, set_fault};
use uapi::ostor_fault;

/// How often locks and allocations fail.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Chances {
    /// Percentage of locks that cannot be taken.
    pub(crate) locks: u32,
    /// Percentage of allocations that fail.
    pub(crate) allocs: u32,
    /// Microseconds by which every site delays its caller.
    pub(crate) delay_us: u32,
}

impl Chances {
    /// The settings of a site. Its name ends with what fails there.
    fn at(&self, site: &ostor_fault) -> ostor_fault {
        let name = fault_name(site);
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
            ..*site
        }
    }
}

/// The counts of a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) name: String,
    /// Number of passes.
    pub(crate) passed: u64,
    /// Number of passes that were made to fail.
    pub(crate) failed: u64,
}

/// Faults that are injected until this is dropped.
pub(crate) struct Faults {
    torture: TortureDevice,
    device: File,
    before: Vec<ostor_fault>,
}

impl Faults {
    /// Starts to inject faults.
    pub(crate) fn inject(chances: &Chances) -> Result<Self> {
        let (torture, device) = (TortureDevice::open()?, device::open()?);
        need_test_flavour(&torture, "")?;
        let before = fault_sites(&torture)?;
        let faults = Self {
            torture,
            device,
            before,
        };
        for site in &faults.before {
            set_fault(&faults.torture, chances.at(site)).with_context(|| fault_name(site))?;
        }
        let has = |kind| {
            let mut names = faults.before.iter().map(fault_name);
            names.any(|name| name.ends_with(kind))
        };
        ensure!(
            has("_lock") && has("_alloc"),
            "the module has no fault site of a lock or of an allocation"
        );
        Ok(faults)
    }

    /// The counts of all sites that were passed.
    pub(crate) fn counts(&self) -> device::Result<Vec<Count>> {
        let sites = fault_sites(&self.torture)?;
        let passed = sites.into_iter().filter(|site| site.passed > 0);
        Ok(passed
            .map(|site| Count {
                name: fault_name(&site),
                passed: site.passed,
                failed: site.failed,
            })
            .collect())
    }

    /// The statistics. An open file is used, since opening one allocates.
    pub(crate) fn stats(&self) -> device::Result<uapi::ostor_stats> {
        device::stats_of(&self.device)
    }
}

impl Drop for Faults {
    fn drop(&mut self) {
        for site in &self.before {
            let again = ostor_fault { set: 1, ..*site };
            if let Err(error) = set_fault(&self.torture, again) {
                complain(&format!("{} keeps failing: {error}", fault_name(site)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(name: &str) -> ostor_fault {
        let mut site = ostor_fault {
            times: 7,
            passed: 9,
            ..ostor_fault::default()
        };
        site.name[..name.len()].copy_from_slice(name.as_bytes());
        site
    }

    #[test]
    fn the_name_of_a_site_says_what_fails() {
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
            let set = chances.at(&site(name));
            assert_eq!(set.probability, probability, "{name}");
            assert_eq!((set.set, set.interval, set.space), (1, 1, 0));
            assert_eq!((set.times, set.delay_us), (-1, 3));
        }
    }
}
