// SPDX-License-Identifier: GPL-2.0
//! Fault points: what the test flavour of the module can make fail or wait.

use std::os::fd::AsFd;

use nix::errno::Errno;
use uapi::ostor_fault;

use super::{Error, Result};
use crate::sys::ioctl;

/// All fault points as they are set.
pub fn fault_points(device: &impl AsFd) -> Result<Vec<ostor_fault>> {
    let mut points = Vec::new();
    for point in 0.. {
        let arg = ostor_fault {
            point,
            ..ostor_fault::default()
        };
        match set_fault(device, arg) {
            Ok(found) => points.push(found),
            Err(error) if error.errno() == Errno::EINVAL => break,
            Err(error) => return Err(error),
        }
    }
    Ok(points)
}

/// Sets what happens at a point if `arg.set` is 1, and returns how it stands.
pub fn set_fault(device: &impl AsFd, mut arg: ostor_fault) -> Result<ostor_fault> {
    ioctl::fault(device.as_fd(), &mut arg).map_err(Error::refused("use a fault point"))?;
    Ok(arg)
}

/// The name of a point, as the device told it.
pub fn fault_name(point: &ostor_fault) -> String {
    let len = point.name.iter().position(|&byte| byte == 0);
    String::from_utf8_lossy(&point.name[..len.unwrap_or(point.name.len())]).into_owned()
}
