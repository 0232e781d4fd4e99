// SPDX-License-Identifier: GPL-2.0
//! What a test needs of the machine, the kernel and the module. A test that cannot run is
//! ignored with the reason.

use std::fs;

use anyhow::Result;
use nix::errno::Errno;
use ostor::device::{self, Kind, Map};
use ostor::optmem;
use ostor::torture::{TortureDevice, is_test_flavour};

use crate::harness::VALUE_SIZE;

/// Why a test cannot run here.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unable(String);

/// Ends a test that cannot run.
pub(crate) fn unable<T>(why: impl Into<String>) -> Result<T> {
    Err(Unable(why.into()).into())
}

/// Needs a kind of owners.
pub(crate) fn kind(kind: Kind) -> Result<()> {
    if !kind.is_served(&device::stats()?) {
        return unable(kind.why_not_served());
    }
    Ok(())
}

/// Needs the test flavour of the module.
pub(crate) fn test_flavour() -> Result<()> {
    match is_test_flavour(&TortureDevice::open()?)? {
        true => Ok(()),
        false => unable("the module is not of the test flavour"),
    }
}

/// Needs two CPUs.
pub(crate) fn two_cpus() -> Result<()> {
    if fs::read_to_string("/sys/devices/system/cpu/online")?.trim() == "0" {
        return unable("there is only one CPU");
    }
    Ok(())
}

/// Creates a map whose values are copied to accepted sockets.
pub(crate) fn cloning_map() -> Result<Map> {
    kind(Kind::Socket)?;
    match Map::create_cloning(VALUE_SIZE) {
        Err(error) if error.errno() == Errno::EOPNOTSUPP => {
            unable("this kernel does not report accepted sockets")
        }
        map => Ok(map?),
    }
}

/// Sets a limit of option memory of some ten thousand bytes.
pub(crate) fn small_optmem_limit() -> Result<optmem::OtherLimit> {
    kind(Kind::Socket)?;
    optmem::OtherLimit::set(20_480)
}
