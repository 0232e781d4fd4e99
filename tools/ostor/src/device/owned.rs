// SPDX-License-Identifier: GPL-2.0
//! Listing the elements of an owner in all maps.

use std::os::fd::{AsFd, BorrowedFd};

use uapi::{ostor_list_owner, ostor_owned};

use super::{Error, Owner, Result};
use crate::sys::ioctl::{self, Buffer};

/// A listing in progress, which [`OwnerListing::next_part`] continues.
#[derive(Debug)]
pub struct OwnerListing<'a> {
    device: BorrowedFd<'a>,
    owner: Owner<'a>,
    capacity: u32,
    after: u64,
    done: bool,
}

/// Lists all elements of an owner through any open file of the device.
pub fn list_owner(device: &impl AsFd, owner: Owner<'_>) -> Result<Vec<ostor_owned>> {
    let mut listing = OwnerListing::new(device, owner, 128);
    let mut all = Vec::new();
    while let Some(part) = listing.next_part()? {
        all.extend(part);
    }
    Ok(all)
}

impl<'a> OwnerListing<'a> {
    /// Starts a listing that returns up to `capacity` elements at a time.
    pub fn new(device: &'a impl AsFd, owner: Owner<'a>, capacity: u32) -> Self {
        Self {
            device: device.as_fd(),
            owner,
            capacity,
            after: 0,
            done: false,
        }
    }

    /// The next elements, or `None` at the end.
    pub fn next_part(&mut self) -> Result<Option<Vec<ostor_owned>>> {
        if self.done {
            return Ok(None);
        }
        let mut entries = vec![ostor_owned::default(); self.capacity as usize];
        let mut arg = ostor_list_owner {
            owner: self.owner.to_uapi(),
            after: self.after,
            capacity: self.capacity,
            ..ostor_list_owner::default()
        };
        ioctl::list_owner(self.device, &mut arg, Buffer::At(&mut entries))
            .map_err(Error::refused("list the owner's values"))?;

        self.after = arg.after;
        self.done = arg.done != 0;
        entries.truncate(arg.count as usize);
        Ok(Some(entries))
    }
}
