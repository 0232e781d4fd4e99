// SPDX-License-Identifier: GPL-2.0

//! A map as the device has it: one of the core, in the test flavour maybe behind the guard that
//! the core does without.

use crate::{
    storage::{
        create::Mode,
        element::Element,
        map::{
            ByteMap,
            Stored, //
        },
        owner::Owner, //
    },
    sync::{
        busy::{
            self,
            Section, //
        },
        rcu::Guard, //
    },
    uapi::{
        OSTOR_MAP_BUSY,
        OSTOR_MAP_CLONE, //
    }, //
};
use core::ops::Deref;
use kernel::prelude::*;

/// The flags that a map can be created with.
pub(super) const FLAGS: u32 = OSTOR_MAP_CLONE | if busy::OFFERED { OSTOR_MAP_BUSY } else { 0 };

/// A map of the device.
pub(super) struct DeviceMap {
    map: ByteMap,
    /// Whether operations that change something take the counter of their CPU.
    busy: bool,
}

impl DeviceMap {
    /// An empty map; `flags` are of [`FLAGS`]. As [`ByteMap::new`].
    pub(super) fn new(value_size: usize, flags: u32) -> Result<Self> {
        let new = match flags & OSTOR_MAP_CLONE {
            0 => ByteMap::new,
            _ => ByteMap::new_cloning,
        };
        Ok(Self {
            map: new(value_size)?,
            busy: flags & OSTOR_MAP_BUSY != 0,
        })
    }

    /// The flags that it was created with.
    pub(super) fn flags(&self) -> u32 {
        let busy = if self.busy { OSTOR_MAP_BUSY } else { 0 };
        super::info::flags(self.raw()) | busy
    }

    /// As [`ByteMap::put`]; or fails with `EBUSY`, unless there is what a get asks for.
    pub(super) fn put<'a>(
        &'a self,
        owner: &impl Owner,
        mode: Mode,
        bytes: &[u8],
        rcu: &'a Guard,
    ) -> Result<Stored<&'a [u8]>> {
        let finds = mode == Mode::Get && self.busy && self.raw().find(owner.id(), rcu).is_some();
        let _section = Section::enter(self.busy && !finds).ok_or(EBUSY)?;
        Ok(self.map.put(owner, mode, bytes, rcu)?)
    }

    /// Deletes the owner's element and returns it; or fails with `EBUSY`.
    pub(super) fn delete<'a>(&'a self, owner: &impl Owner, rcu: &'a Guard) -> Result<&'a Element> {
        let _section = Section::enter(self.busy).ok_or(EBUSY)?;
        Ok(self.raw().delete(owner.id(), rcu)?)
    }

    /// Deletes the owner's element if `copy` succeeds with it, and returns whether it did: false if
    /// another operation has ended that element meanwhile. Fails as `copy`, or with `EBUSY`.
    pub(super) fn delete_after(
        &self,
        owner: &impl Owner,
        copy: impl FnOnce(&Element) -> Result,
        rcu: &Guard,
    ) -> Result<bool> {
        let _section = Section::enter(self.busy).ok_or(EBUSY)?;
        let elem = self.raw().find(owner.id(), rcu).ok_or(ENOENT)?;
        copy(elem)?;
        Ok(self.raw().delete_elem(elem, rcu))
    }
}

impl Deref for DeviceMap {
    type Target = ByteMap;

    fn deref(&self) -> &ByteMap {
        &self.map
    }
}
