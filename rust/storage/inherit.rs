// SPDX-License-Identifier: GPL-2.0

//! Copies the values of an owner to another one that is created from it, as an accepted socket is.

use super::{
    create::Mode,
    element::Element,
    owner::{
        Owner,
        OwnerId, //
    },
    runtime::Runtime, //
};
use crate::sync::{
    fault::{
        self,
        Site, //
    },
    rcu::{
        self,
        Guard, //
    }, //
};
use core::ptr::NonNull;

impl Runtime {
    /// Gives `child` a copy of each value of `parent` whose map clones.
    ///
    /// Any context. Takes the lock of the child's storage. A copy that cannot be made is counted in
    /// its map, and the others are made.
    pub(crate) fn inherit(&self, parent: OwnerId, child: &impl Owner) {
        let rcu = rcu::read_lock();
        let Some(storage) = self.find_storage(parent, &rcu) else {
            return;
        };
        let mut map = 0;
        while let Some(elem) = storage.next(map, &rcu) {
            map = elem.map().id();
            elem.copy_to(child, &rcu);
        }
    }
}

impl Element {
    /// Stores a copy of the value for `owner`, if the map clones.
    fn copy_to(&self, owner: &impl Owner, rcu: &Guard) {
        let map = self.map();
        let Some(clone) = map.clone_value() else {
            return;
        };
        let (from, size) = (self.value(), map.value_size());
        let init = |to: NonNull<u8>| {
            // SAFETY: The element was found under the guard, so its value was not dropped.
            // `RawMap::put` calls this with memory for one value.
            unsafe { clone(to.as_ptr().cast(), from.as_ptr().cast(), size) };
        };
        // SAFETY: `init` writes a clone of a value of this map, which is a value of this map.
        let copy = match unsafe { map.put(owner, Mode::NoExist, init, rcu) } {
            Ok(copy) => copy,
            // That is no failure: the copy would end with the map.
            Err(_) if map.is_ending() => return,
            Err(_) => {
                map.counters().this_cpu().clone_failures.add(1);
                return;
            }
        };
        map.counters().this_cpu().clones.add(1);
        // This CPU has no reference to the map. While the guard keeps this element, the map cannot
        // be freed. But its end may have begun, and may have visited the bucket of the child
        // already.
        fault::pause(Site::CloneCheck);
        if map.is_ending() {
            // If the claim fails, the end of the map has found the copy.
            map.delete_elem(copy.elem, rcu);
        }
    }
}
