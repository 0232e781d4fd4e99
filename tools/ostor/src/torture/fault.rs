// SPDX-License-Identifier: GPL-2.0
//! Fault injection: the sites at which the test flavour can fail a lock or an
//! allocation, or delay the caller.

use nix::errno::Errno;
use uapi::ostor_fault;

use super::{TortureDevice, ioctl};
use crate::device::{Error, Result};

/// All fault sites with their settings and counts.
pub fn fault_sites(device: &TortureDevice) -> Result<Vec<ostor_fault>> {
    let mut sites = Vec::new();
    for site in 0.. {
        let arg = ostor_fault {
            site,
            ..ostor_fault::default()
        };
        match set_fault(device, arg) {
            Ok(site) => sites.push(site),
            Err(error) if error.errno() == Errno::EINVAL => break,
            Err(error) => return Err(error),
        }
    }
    Ok(sites)
}

/// Changes the settings of a site if `arg.set` is 1, and returns the site as it is then.
pub fn set_fault(device: &TortureDevice, mut arg: ostor_fault) -> Result<ostor_fault> {
    ioctl::fault(device, &mut arg).map_err(Error::refused("use a fault site"))?;
    Ok(arg)
}

/// The name that the device has given to a site.
pub fn fault_name(site: &ostor_fault) -> String {
    let len = site.name.iter().position(|&byte| byte == 0);
    String::from_utf8_lossy(&site.name[..len.unwrap_or(site.name.len())]).into_owned()
}
