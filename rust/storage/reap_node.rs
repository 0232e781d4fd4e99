// SPDX-License-Identifier: GPL-2.0

//! What is left of the dead until they are freed.

use super::charge::Paid;
use crate::sync::{
    age::Age,
    llist::Link,
    Cell, //
};
use core::ptr::NonNull;

/// What a dead object is.
#[derive(Copy, Clone)]
#[repr(u8)]
pub(super) enum Reapable {
    /// An [`Element`](super::element::Element).
    Element,
    /// A [`Storage`](super::store::Storage).
    Storage,
}

/// An element is on the list of its storage.
const ON_STORAGE: u8 = 1;
/// An element is in its map's table, a storage in the index.
const ON_TABLE: u8 = 2;

/// What an object that can die has in it, in first place.
#[repr(C)]
pub(super) struct ReapNode {
    link: Link,
    kind: Reapable,
    /// The lists it is still on. Its owner's, see [`Element`](super::element::Element).
    linked_on: Cell<u8>,
    /// How old the dead are. In the test flavour, it is where padding is in the other one.
    pub(super) age: Age,
    /// Whether an element is charged. Here, since here is room.
    pub(super) paid: Paid,
}

// No age takes room.
const _: () = assert!(size_of::<ReapNode>() == 16);

impl ReapNode {
    /// Of an object that is on no list.
    pub(super) const fn new(kind: Reapable) -> Self {
        Self {
            link: Link::new(),
            kind,
            linked_on: Cell::new(0),
            age: Age::new(),
            paid: Paid::no(),
        }
    }

    /// The link that they are on a list by. It comes first, so that its address is theirs.
    pub(super) fn link(&self) -> NonNull<Link> {
        NonNull::from(&self.link)
    }

    /// What they are of.
    pub(super) fn kind(&self) -> Reapable {
        self.kind
    }

    /// The element is about to be put on both lists.
    pub(super) fn link_both(&self) {
        self.linked_on.set(ON_STORAGE | ON_TABLE);
    }

    /// The storage is about to be put into the index.
    pub(super) fn link_table(&self) {
        self.linked_on.set(ON_TABLE);
    }

    /// Whether the element is on its storage's list.
    pub(super) fn on_storage(&self) -> bool {
        self.linked_on.get() & ON_STORAGE != 0
    }

    /// Whether it is in the table.
    pub(super) fn on_table(&self) -> bool {
        self.linked_on.get() & ON_TABLE != 0
    }

    /// The element was taken off its storage's list.
    pub(super) fn left_storage(&self) {
        self.linked_on.set(self.linked_on.get() & !ON_STORAGE);
    }

    /// It was taken out of the table.
    pub(super) fn left_table(&self) {
        self.linked_on.set(self.linked_on.get() & !ON_TABLE);
    }

    /// Whether it is on no list any more.
    pub(super) fn is_unlinked(&self) -> bool {
        self.linked_on.get() == 0
    }
}
