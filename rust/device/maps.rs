// SPDX-License-Identifier: GPL-2.0

//! The maps of all open files, and those that BPF programs refer to still; and a listing of them.

use super::{
    entries::Entries,
    info,
    map::DeviceMap,
    Arg, //
};
use crate::{
    api::numbered::Numbered,
    uapi::{
        ostor_listed_map,
        ostor_map_list, //
    }, //
};
use kernel::{
    prelude::*,
    rbtree::RBTreeNodeReservation,
    sync::{
        global_lock,
        Arc, //
    }, //
};

global_lock! {
    // SAFETY: `init` is called before the device is registered.
    unsafe(uninit) static MAPS: Mutex<Numbered<Arc<DeviceMap>>> = Numbered::new();
}

/// Makes the list usable.
///
/// # Safety
///
/// To be called once, before anything else here.
pub(crate) unsafe fn init() {
    // SAFETY: By the contract.
    unsafe { MAPS.init() };
}

/// Memory for one more map in the list. May sleep.
pub(super) struct Place(RBTreeNodeReservation<u64, Arc<DeviceMap>>);

impl Place {
    /// Allocates it.
    pub(super) fn new() -> Result<Self> {
        Ok(Self(RBTreeNodeReservation::new(GFP_KERNEL)?))
    }

    /// Lists `map`, from which on it is listed, and programs find it, until [`remove`]. May sleep.
    pub(super) fn list(self, map: Arc<DeviceMap>) {
        let node = self.0.into_node(map.raw().id(), map.clone());
        let mut maps = MAPS.lock();
        maps.insert(node);
        // SAFETY: The lock is held, and the map was not published before.
        unsafe { map.shared.publish() };
    }
}

/// Lists the map with this number no more, and returns it. May sleep.
pub(super) fn remove(id: u64) -> Option<Arc<DeviceMap>> {
    let node = {
        let mut maps = MAPS.lock();
        // SAFETY: The lock is held, and `Place::list` has published the map.
        unsafe { maps.get(id)?.shared.unpublish() };
        maps.remove(id)?
    };
    // Frees memory, and that without the lock.
    Some(node.to_key_value().1)
}

pub(super) fn list(arg: &Arg) -> Result {
    let mut req = ostor_map_list::default();
    arg.read_for_update(&mut req)?;
    let mut entries = Entries::new(req.entries, req.capacity)?;
    if req.reserved != 0 {
        return Err(EINVAL);
    }
    req.done = entries.fill(|entries| {
        let Some(entry) = next(req.after) else {
            return Ok(false);
        };
        req.after = entry.id;
        entries.push(&entry)?;
        Ok(true)
    })?;
    req.count = entries.count();
    arg.write(&req)
}

/// The map with the lowest number above `after`.
fn next(after: u64) -> Option<ostor_listed_map> {
    let maps = MAPS.lock();
    Some(info::listed(maps.next(after)?.1))
}
