// SPDX-License-Identifier: GPL-2.0

//! Values that have a drop, on their way to it: in a kworker of their map's own, so that a drop that
//! sleeps holds up its map and nobody else.

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
use super::kept;
#[cfg(OSTOR_TEST)]
use core::cell::Cell;

/// The values of one map that are to be dropped.
pub(super) struct Drops {
    values: LList,
    /// Bytes of their elements.
    bytes: Counter,
    #[cfg(OSTOR_TEST)]
    watch: Watch,
}

/// What is dropped now, to see whether that ends the owner that it was attached to.
#[cfg(OSTOR_TEST)]
struct Watch {
    map: Cell<u64>,
    /// Where the owner of the value is, or was.
    owner: Cell<usize>,
    /// Whether the map was told of.
    is_told: Cell<bool>,
}

#[cfg(OSTOR_TEST)]
// SAFETY: The run alone uses it, of which there is one at a time.
unsafe impl Sync for Watch {}

#[cfg(OSTOR_TEST)]
impl Watch {
    /// The value of an element is to be dropped.
    fn set(&self, elem: &Element) {
        self.map.set(elem.map().id());
        self.owner.set(elem.node.addr());
    }

    /// An owner ends in the drop.
    fn note_end_of(&self, owner: usize) {
        if self.owner.get() == owner && !self.is_told.replace(true) {
            kept::tell(self.map.get());
        }
    }
}

impl Drops {
    /// With nothing to do.
    const fn empty() -> Self {
        Self {
            values: LList::new(),
            bytes: Counter::new(),
            #[cfg(OSTOR_TEST)]
            watch: Watch {
                map: Cell::new(0),
                owner: Cell::new(0),
                is_told: Cell::new(false),
            },
        }
    }

    /// The drops of a map that is being made, which run on `queue`.
    pub(super) fn new(queue: &Workqueue) -> impl PinInit<Work<Self>> {
        Work::new(queue, Self::empty())
    }
}

impl Work<Drops> {
    /// Takes over an element. Process context.
    ///
    /// # Safety
    ///
    /// `link` must be the first field of an element of the map with these drops, which the caller
    /// owns, of `bytes` bytes, and which no reader can reach.
    pub(super) unsafe fn take(&self, link: NonNull<Link>, bytes: usize) {
        self.bytes.add(bytes as u64);
        // SAFETY: By the contract, until `run` has taken it.
        if unsafe { self.values.push(link) } {
            // Each run takes the list as a whole, so nobody has been asked to take this one yet:
            // the element, and with it the map, stays until the run that is asked for here.
            //
            // SAFETY: As said.
            unsafe { self.queue() };
        }
    }

    /// Bytes of elements that wait for the map's drops.
    pub(super) fn waiting(&self) -> u64 {
        self.bytes.get()
    }
}

impl WorkItem for Drops {
    fn run(&self) {
        // The map, and these drops in it, may be gone when this is dropped.
        let mut freed = Freed::new();
        for link in self.values.take() {
            let elem = link.cast::<Element>();
            // SAFETY: Taken from the list, which has elements of this map that nobody can reach.
            let header = unsafe { elem.as_ref() };
            self.bytes.sub(header.map().element_size() as u64);
            #[cfg(OSTOR_TEST)]
            self.watch.set(header);
            // SAFETY: Likewise.
            unsafe { freed.free(elem) };
            deferred::cond_resched();
        }
    }
}

/// Whether this is a kworker that drops values of a map. Task context.
pub(super) fn in_drop() -> bool {
    Work::<Drops>::with_current(|_| ()).is_some()
}

/// The last reference to the owner at `addr` has gone, in whatever context: tells if it went in the
/// drop of a value that was attached to this owner, once a map.
#[cfg(OSTOR_TEST)]
pub(crate) fn note_end_of_owner(addr: usize) {
    Work::<Drops>::with_current(|drops| drops.watch.note_end_of(addr));
}
