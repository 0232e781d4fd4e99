// SPDX-License-Identifier: GPL-2.0
//! Very many fake owners that die while their map is freed, inside the kernel.

use uapi::ostor_crowd;

use super::{TortureDevice, ioctl};
use crate::device::{Error, Result};

/// Creates a map with an element for each of `count` owners, and lets all of them die
/// while the map is freed. Needs the test flavour.
pub fn mass_exit(device: &TortureDevice, count: u64) -> Result<ostor_crowd> {
    let mut arg = ostor_crowd {
        count,
        ..ostor_crowd::default()
    };
    ioctl::mass_exit(device, &mut arg).map_err(Error::refused("run a mass exit"))?;
    Ok(arg)
}
