// SPDX-License-Identifier: GPL-2.0
//! Very many fake owners that die while their map is freed, inside the kernel.

use uapi::ostor_mass_exit;

use super::{TortureDevice, ioctl};
use crate::device::{Error, Result};

/// Creates a map with an element for each of `count` owners, and lets all of them die
/// while the map is freed.
pub fn mass_exit(device: &TortureDevice, count: u64) -> Result<ostor_mass_exit> {
    let mut arg = ostor_mass_exit {
        count,
        ..ostor_mass_exit::default()
    };
    ioctl::mass_exit(device, &mut arg).map_err(Error::refused("run a mass exit"))?;
    Ok(arg)
}
