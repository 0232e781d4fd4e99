// SPDX-License-Identifier: GPL-2.0

//! Values that an owner is born with: copies of the values of the owner it is made of.

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

impl Runtime {
    /// Gives `child` a copy of each value of `parent` that is in a map which clones.
    ///
    /// Any context; takes the lock of the child's storage. Copies that cannot be made are counted
    /// in their maps, and the others are made.
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
    /// Copies the value to an element for `owner`, if the map wants that.
    fn copy_to(&self, owner: &impl Owner, rcu: &Guard) {
        let map = self.map();
        let Some(clone) = map.clone_value() else {
            return;
        };
        // SAFETY: The element was found under the guard, so its value is not dropped yet; and `put`
        // has room for one.
        let init = |to| unsafe { clone(self.value(), to, map.value_size()) };
        // SAFETY: A clone of one of the map's values is one.
        let Ok(copy) = (unsafe { map.put(owner, Mode::NoExist, init, rcu) }) else {
            map.counters().this_cpu().clone_failures.add(1);
            return;
        };
        map.counters().this_cpu().clones.add(1);
        // We came here without a reference to the map. It cannot go as long as the guard keeps
        // this element; but its end may have walked past the child's bucket.
        fault::pause(Site::CloneCheck);
        if map.is_ending() {
            // Else it was ended already.
            map.delete_elem(copy.elem, rcu);
        }
    }
}
