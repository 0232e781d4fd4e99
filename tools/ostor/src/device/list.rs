// SPDX-License-Identifier: GPL-2.0
//! Listing the elements of a map.

use std::os::fd::AsFd;

use uapi::{ostor_entry, ostor_list};

use super::{Error, Map, Result};
use crate::sys::ioctl::{self, Buffer};

/// One element of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The owner and the element's number.
    pub entry: ostor_entry,
    /// The value.
    pub value: Vec<u8>,
}

/// A listing in progress, which [`Listing::next_part`] continues.
#[derive(Debug)]
pub struct Listing<'a> {
    map: &'a Map,
    capacity: u32,
    cursor: (u64, u64),
    done: bool,
}

impl Map {
    /// Starts a listing that returns up to `capacity` elements at a time.
    pub fn listing(&self, capacity: u32) -> Listing<'_> {
        Listing {
            map: self,
            capacity,
            cursor: (0, 0),
            done: false,
        }
    }

    /// Lists all elements.
    pub fn list(&self) -> Result<Vec<Item>> {
        let mut listing = self.listing(uapi::OSTOR_LIST_MAX.min(128));
        let mut items = Vec::new();
        while let Some(part) = listing.next_part()? {
            items.extend(part);
        }
        Ok(items)
    }
}

impl Listing<'_> {
    /// The next elements, or `None` at the end.
    pub fn next_part(&mut self) -> Result<Option<Vec<Item>>> {
        if self.done {
            return Ok(None);
        }
        let value_size = self.map.value_size();
        let mut entries = vec![ostor_entry::default(); self.capacity as usize];
        let mut values = vec![0; self.capacity as usize * value_size as usize];
        let mut arg = ostor_list {
            pos: self.cursor.0,
            seq: self.cursor.1,
            value_size,
            capacity: self.capacity,
            ..ostor_list::default()
        };
        let (into_entries, into_values) = (Buffer::At(&mut entries), Buffer::At(&mut values));
        ioctl::list(self.map.as_fd(), &mut arg, into_entries, into_values)
            .map_err(Error::refused("list the map's values"))?;

        self.cursor = (arg.pos, arg.seq);
        self.done = arg.done != 0;
        let part = entries
            .into_iter()
            .zip(values.chunks_exact(value_size as usize));
        let part = part.take(arg.count as usize);
        Ok(Some(
            part.map(|(entry, value)| Item {
                entry,
                value: value.to_vec(),
            })
            .collect(),
        ))
    }
}
