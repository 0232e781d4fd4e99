// SPDX-License-Identifier: GPL-2.0
//! The device as safe Rust: maps, owners, elements, and errors that say what
//! happened, why, and what to do.

mod ages;
mod bench;
mod contexts;
mod crowd;
mod cycle;
mod error;
mod fault;
mod kind;
mod list;
mod map;
mod owned;
mod owner;
mod recurse;
mod tally;

use std::fs::{File, OpenOptions};
use std::os::fd::AsFd;

pub use ages::Ages;
pub use bench::{Bench, BenchKind, Cost};
pub use contexts::{Context, Run};
pub use crowd::crowd;
pub use cycle::{Cycle, Fate};
pub use error::{Error, Result};
pub use fault::{fault_name, fault_points, set_fault};
pub use kind::Kind;
pub use list::{Item, Listing};
pub use map::{Elem, Map, Mode};
pub use owned::{OwnerListing, list_owner};
pub use owner::Owner;
pub use recurse::{Op, OpKind, Outcome, Point, Recursion};
pub use tally::Tally;

use crate::sys::ioctl;

/// Where the device is.
pub const DEVICE: &str = "/dev/owner_storage";

/// Opens the device. The file is not a map yet.
pub fn open() -> Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .open(DEVICE)
        .map_err(Error::open)
}

/// The statistics of the whole module.
pub fn stats() -> Result<uapi::ostor_stats> {
    stats_of(&open()?)
}

/// The statistics of the whole module, through a file that is open already.
pub fn stats_of(device: &impl AsFd) -> Result<uapi::ostor_stats> {
    ioctl::stats(device.as_fd()).map_err(Error::refused("read the statistics"))
}
