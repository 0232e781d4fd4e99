// SPDX-License-Identifier: GPL-2.0

//! Drops values in a kworker of their own map. A drop that sleeps delays its own map, and no other.

use super::element::{
    Element,
    Freed, //
};
use crate::sync::{
    counter::Counter,
    deferred::{
        self,
        Work,
        WorkItem,
        Workqueue, //
    },
    llist::{
        LList,
        Link, //
    }, //
};
use core::ptr::NonNull;
use kernel::prelude::*;

#[cfg(OSTOR_TEST)]
use super::value_keeps_owner;
#[cfg(OSTOR_TEST)]
use core::cell::Cell;

/// The values of one map that wait for their drop.
///
/// # Invariants
///
/// `values` holds first fields of elements of this map, which no reader can reach. The list owns
/// the elements until a run takes them, and then the run does. `bytes` is the size of the elements
/// that were pushed and that no run has taken.
pub(super) struct Drops {
    values: LList,
    /// The size in bytes of the elements of these values.
    bytes: Counter,
    #[cfg(OSTOR_TEST)]
    current: CurrentDrop,
}

/// The value that is being dropped, to see whether its drop puts the last reference to its owner.
#[cfg(OSTOR_TEST)]
struct CurrentDrop {
    map: Cell<u64>,
    /// The address of the owner that the value is, or was, attached to.
    owner: Cell<usize>,
    /// Set once the map was reported.
    is_reported: Cell<bool>,
}

#[cfg(OSTOR_TEST)]
// SAFETY: Only a run of the work accesses it, and there is one run at a time.
unsafe impl Sync for CurrentDrop {}

#[cfg(OSTOR_TEST)]
impl CurrentDrop {
    /// Records that the value of `elem` is about to be dropped.
    fn set(&self, elem: &Element) {
        self.map.set(elem.map().id());
        self.owner.set(elem.node.addr());
    }

    /// The drop has put the last reference to the owner at `owner`. Reports the map if the value is
    /// attached to that owner.
    fn note_last_put(&self, owner: usize) {
        if self.owner.get() == owner && !self.is_reported.replace(true) {
            value_keeps_owner::report(self.map.get());
        }
    }
}

impl Drops {
    /// No value waits.
    const fn empty() -> Self {
        Self {
            values: LList::new(),
            bytes: Counter::new(),
            #[cfg(OSTOR_TEST)]
            current: CurrentDrop {
                map: Cell::new(0),
                owner: Cell::new(0),
                is_reported: Cell::new(false),
            },
        }
    }

    /// An initialiser for the drops of a new map. They run on `queue`.
    pub(super) fn new(queue: &Workqueue) -> impl PinInit<Work<Self>> {
        Work::new(queue, Self::empty())
    }
}

impl Work<Drops> {
    /// Takes over an element. Process context.
    ///
    /// # Safety
    ///
    /// `link` must be the first field of an element of the map that these drops belong to. The
    /// caller must own the element, no reader may be able to reach it, and its size must be
    /// `bytes`.
    pub(super) unsafe fn take(&self, link: NonNull<Link>, bytes: usize) {
        self.bytes.add(bytes as u64);
        // SAFETY: By the safety requirements the caller owns the element, so the link is valid and
        // on no list until `run` has taken it.
        if unsafe { self.values.push(link) } {
            // The list was empty. A run takes the list as a whole, so no run is queued that has not
            // taken its list yet. This element, and so the map, stays until the run that is queued
            // here.
            //
            // SAFETY: The work is not queued, and stays until its run, by the above.
            unsafe { self.queue() };
        }
    }

    /// The size in bytes of the elements that wait for their drop.
    pub(super) fn waiting(&self) -> u64 {
        self.bytes.get()
    }
}

impl WorkItem for Drops {
    fn run(&self) {
        // Its drop may free the map, and these drops in it. So it is the last access to them.
        let mut freed = Freed::new();
        for link in self.values.take() {
            let elem = link.cast::<Element>();
            // SAFETY: The elements on the list belong to this map. The run that took them owns
            // them.
            let header = unsafe { elem.as_ref() };
            self.bytes.sub(header.map().element_size() as u64);
            #[cfg(OSTOR_TEST)]
            self.current.set(header);
            // SAFETY: This run owns the element, and by the safety requirements of `take` no reader
            // can reach it.
            unsafe { freed.free(elem) };
            deferred::cond_resched();
        }
    }
}

/// Returns whether the caller runs in a kworker that drops values of a map. Task context.
pub(crate) fn in_drop() -> bool {
    Work::<Drops>::with_current(|_| ()).is_some()
}

/// To be called, in any context, when the last reference to the owner at `addr` was put. If the
/// drop of a value did that which is attached to the same owner, reports its map, once per map.
#[cfg(OSTOR_TEST)]
pub(crate) fn note_last_put(addr: usize) {
    Work::<Drops>::with_current(|drops| drops.current.note_last_put(addr));
}
