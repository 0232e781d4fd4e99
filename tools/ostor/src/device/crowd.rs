// SPDX-License-Identifier: GPL-2.0
//! Very many owners that die while their map ends, inside the kernel.

use std::os::fd::AsFd;

use uapi::ostor_crowd;

use super::{Error, Result};
use crate::sys::ioctl;

/// Lets a crowd of `count` owners die while their map ends. For the test flavour
/// of the module only.
pub fn crowd(device: &impl AsFd, count: u64) -> Result<ostor_crowd> {
    let mut arg = ostor_crowd {
        count,
        ..ostor_crowd::default()
    };
    ioctl::crowd(device.as_fd(), &mut arg).map_err(Error::refused("let a crowd die"))?;
    Ok(arg)
}
