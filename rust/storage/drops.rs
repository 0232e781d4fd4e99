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
        Errand,
        Queue,
        Runner, //
    },
    llist::{
        LList,
        Link, //
    }, //
};
use core::ptr::NonNull;
use kernel::prelude::*;

/// The values of one map that are to be dropped.
pub(super) struct Drops {
    values: LList,
    /// Bytes of their elements.
    bytes: Counter,
}

impl Drops {
    /// With nothing to do.
    const fn empty() -> Self {
        Self {
            values: LList::new(),
            bytes: Counter::new(),
        }
    }

    /// The drops of a map that is being made, which run on `queue`.
    pub(super) fn new(queue: &Queue) -> impl PinInit<Errand<Self>> {
        Errand::new(queue, Self::empty())
    }
}

impl Errand<Drops> {
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
            unsafe { self.ask() };
        }
    }

    /// Bytes of elements that wait for the map's drops.
    pub(super) fn waiting(&self) -> u64 {
        self.bytes.get()
    }
}

impl Runner for Drops {
    fn run(&self) {
        // The map, and these drops in it, may be gone when this is dropped.
        let mut freed = Freed::new();
        for link in self.values.take() {
            let elem = link.cast::<Element>();
            // SAFETY: Taken from the list, which has elements of this map that nobody can reach.
            let bytes = unsafe { elem.as_ref() }.map().element_size();
            self.bytes.sub(bytes as u64);
            // SAFETY: Likewise.
            unsafe { freed.free(elem) };
            deferred::cond_resched();
        }
    }
}

/// Whether this is a kworker that drops values of a map.
pub(super) fn in_drop() -> bool {
    Errand::<Drops>::is_running_here()
}
