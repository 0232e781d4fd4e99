// SPDX-License-Identifier: GPL-2.0
//! What a test needs of the machine, the kernel and the module. One that cannot
//! be run is ignored with the reason: it has shown nothing.

use std::fs;

use anyhow::Result;
use nix::errno::Errno;
use ostor::device::{self, Kind, Map, fault_points};
use ostor::optmem;

use crate::harness::VALUE_SIZE;

/// Why a test cannot be run here.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unable(String);

/// Ends a test that cannot be run.
pub(crate) fn unable<T>(why: impl Into<String>) -> Result<T> {
    Err(Unable(why.into()).into())
}

/// A kind of owners.
pub(crate) fn kind(kind: Kind) -> Result<()> {
    if !kind.is_served(&device::stats()?) {
        return unable(kind.why_not_served());
    }
    Ok(())
}

/// The test flavour of the module.
pub(crate) fn test_flavour() -> Result<()> {
    match fault_points(&device::open()?) {
        Err(error) if error.errno() == Errno::ENOTTY => {
            unable("the module is not of the test flavour")
        }
        points => Ok(points.map(drop)?),
    }
}

/// Two CPUs.
pub(crate) fn two_cpus() -> Result<()> {
    if fs::read_to_string("/sys/devices/system/cpu/online")?.trim() == "0" {
        return unable("there is only one CPU");
    }
    Ok(())
}

/// A map whose values are copied to accepted sockets.
pub(crate) fn cloning_map() -> Result<Map> {
    kind(Kind::Socket)?;
    match Map::create_cloning(VALUE_SIZE) {
        Err(error) if error.errno() == Errno::EOPNOTSUPP => {
            unable("this kernel does not tell of accepted sockets")
        }
        map => Ok(map?),
    }
}

/// A limit of option memory that some ten thousand bytes reach.
pub(crate) fn small_optmem_limit() -> Result<optmem::OtherLimit> {
    kind(Kind::Socket)?;
    optmem::OtherLimit::set(20_480)
}
