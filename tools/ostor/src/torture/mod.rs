// SPDX-License-Identifier: GPL-2.0
//! The test drivers of the torture device: one operation inside another, operations in
//! interrupt and NMI context, lock cycles, fault injection, timing. What an
//! administrator needs of the storage itself is in [`crate::device`].
//!
//! Nothing outside this folder knows how a driver is called: it opens a
//! [`TortureDevice`] and passes the maps that a driver works on.

mod ages;
mod bench;
mod context;
mod cycle;
mod fault;
pub mod ioctl;
mod mass_exit;
mod needs;
mod op;
mod op_stats;
mod recurse;

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;

pub use ages::Ages;
pub use bench::{Bench, BenchKind, Cost};
pub use context::{Context, Run};
pub use cycle::{Cycle, CycleOutcome};
pub use fault::{fault_name, fault_sites, set_fault};
pub use mass_exit::mass_exit;
pub use needs::{MissingFlavour, is_test_flavour, need_test_flavour};
pub use op::{Op, OpKind};
pub use op_stats::OpStats;
pub use recurse::{Outcome, Point, Recursion};

use crate::device::{self, Result};

/// Path of the torture device.
pub const DEVICE: &str = "/dev/owner_storage_torture";

/// An open file of the torture device.
#[derive(Debug)]
pub struct TortureDevice(File);

impl TortureDevice {
    /// Opens the device.
    pub fn open() -> Result<Self> {
        device::open_path(DEVICE).map(Self)
    }
}

impl AsFd for TortureDevice {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The result that a driver reports for one operation: 0 or a negative errno value.
fn to_result(code: i32) -> std::result::Result<(), Errno> {
    match code {
        0 => Ok(()),
        code => Err(Errno::from_raw(-code)),
    }
}
