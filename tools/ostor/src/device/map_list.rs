// SPDX-License-Identifier: GPL-2.0
//! The list of all maps of the device.

use std::os::fd::AsFd;

use uapi::{ostor_listed_map, ostor_map_list};

use super::{Error, Result};
use crate::sys::ioctl::{self, Buffer};

/// A listing in progress, which [`MapListing::next_part`] continues.
#[derive(Debug)]
pub struct MapListing<'a, F> {
    device: &'a F,
    capacity: u32,
    after: u64,
    done: bool,
}

impl<'a, F: AsFd> MapListing<'a, F> {
    /// Starts a listing that returns up to `capacity` maps at a time.
    pub fn new(device: &'a F, capacity: u32) -> Self {
        Self {
            device,
            capacity,
            after: 0,
            done: false,
        }
    }

    /// The next maps, or `None` at the end.
    pub fn next_part(&mut self) -> Result<Option<Vec<ostor_listed_map>>> {
        if self.done {
            return Ok(None);
        }
        let mut entries = vec![ostor_listed_map::default(); self.capacity as usize];
        let mut arg = ostor_map_list {
            after: self.after,
            capacity: self.capacity,
            ..ostor_map_list::default()
        };
        ioctl::map_list(self.device.as_fd(), &mut arg, Buffer::At(&mut entries))
            .map_err(Error::refused("list the maps"))?;
        (self.after, self.done) = (arg.after, arg.done != 0);
        entries.truncate(arg.count as usize);
        Ok(Some(entries))
    }
}

/// Lists all maps through any open file of the device.
pub fn list_maps(device: &impl AsFd) -> Result<Vec<ostor_listed_map>> {
    let mut listing = MapListing::new(device, 128);
    let mut all = Vec::new();
    while let Some(part) = listing.next_part()? {
        all.extend(part);
    }
    Ok(all)
}

/// The text of a name, which the device fills with zero bytes.
pub fn text_of(name: &[u8]) -> String {
    let len = name.iter().position(|&byte| byte == 0);
    String::from_utf8_lossy(&name[..len.unwrap_or(name.len())]).into_owned()
}
