// SPDX-License-Identifier: GPL-2.0
//! `/dev/owner_storage`: maps, owners, elements, and errors that say what failed, why,
//! and what to do about it.

mod error;
mod kind;
mod list;
mod map;
mod map_list;
mod owned;
mod owner;

use std::fs::{File, OpenOptions};
use std::os::fd::AsFd;

pub use error::{Error, Result};
pub use kind::Kind;
pub use list::{Item, Listing};
pub use map::{Elem, Map, Mode};
pub use map_list::{MapListing, list_maps, text_of};
pub use owned::{OwnerListing, list_owner};
pub use owner::Owner;

use crate::sys::ioctl;

/// Path of the device.
pub const DEVICE: &str = "/dev/owner_storage";

/// Opens the device. The open file is not a map yet.
pub fn open() -> Result<File> {
    open_path(DEVICE)
}

/// Opens one of the module's devices.
pub(crate) fn open_path(device: &'static str) -> Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .open(device)
        .map_err(|error| Error::open(device, error))
}

/// The statistics of the whole module.
pub fn stats() -> Result<uapi::ostor_stats> {
    stats_of(&open()?)
}

/// The statistics of the whole module, through a file that is open already.
pub fn stats_of(device: &impl AsFd) -> Result<uapi::ostor_stats> {
    ioctl::stats(device.as_fd()).map_err(Error::refused("read the statistics"))
}
