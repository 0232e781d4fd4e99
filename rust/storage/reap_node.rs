// SPDX-License-Identifier: GPL-2.0

//! The node by which the reaper links a dead object until it frees it.

use super::charge::Paid;
use crate::sync::{
    age::Age,
    llist::Link,
    Cell, //
};
use core::ptr::NonNull;

/// The type of the object that a [`ReapNode`] is a field of.
#[derive(Copy, Clone)]
#[repr(u8)]
pub(super) enum Reapable {
    /// An [`Element`](super::element::Element).
    Element,
    /// A [`Storage`](super::store::Storage).
    Storage,
}

/// Set while an element is on the list of its storage.
const ON_STORAGE: u8 = 1;
/// Set while an element is in the table of its map, or a storage in the index.
const ON_TABLE: u8 = 2;

/// The first field of each object that the reaper frees.
///
/// Only one context at a time may access it: the owner of the object, see
/// [`Element`](super::element::Element). `paid` is the exception. A creator and a claimer race for
/// it.
///
/// # Invariants
///
/// - `kind` is the type of the object that starts at the address of this node.
/// - A bit of `linked_on` is set if the object is on the list that the bit stands for. The object's
///   owner sets and clears it. A notice of death that retires a list together with its members
///   clears their bits, though the members stay on that list.
/// - The link is on a list of the reaper if the reaper owns the object, and on none else.
#[repr(C)]
pub(super) struct ReapNode {
    link: Link,
    kind: Reapable,
    /// The lists that the object is on: [`ON_STORAGE`] and [`ON_TABLE`].
    linked_on: Cell<u8>,
    /// Counts grace periods since the object was unlinked, in the test flavour. It fits into what
    /// is padding in the plain one.
    pub(super) age: Age,
    /// Whether the element is charged to its owner. It is here because here is padding.
    pub(super) paid: Paid,
}

// The age takes no space.
const _: () = assert!(size_of::<ReapNode>() == 16);

impl ReapNode {
    /// The node of an object that is on no list.
    pub(super) const fn new(kind: Reapable) -> Self {
        Self {
            link: Link::new(),
            kind,
            linked_on: Cell::new(0),
            age: Age::new(),
            paid: Paid::no(),
        }
    }

    /// The link for the reaper's lists. It is the first field, so it has the object's address.
    pub(super) fn link(&self) -> NonNull<Link> {
        NonNull::from(&self.link)
    }

    /// The type of the object.
    pub(super) fn kind(&self) -> Reapable {
        self.kind
    }

    /// Records that the element is about to be put on both of its lists.
    pub(super) fn link_both(&self) {
        self.linked_on.set(ON_STORAGE | ON_TABLE);
    }

    /// Records that the storage is about to be put into the index.
    pub(super) fn link_table(&self) {
        self.linked_on.set(ON_TABLE);
    }

    /// Returns whether the element is on the list of its storage.
    pub(super) fn on_storage(&self) -> bool {
        self.linked_on.get() & ON_STORAGE != 0
    }

    /// Returns whether the object is in its table.
    pub(super) fn on_table(&self) -> bool {
        self.linked_on.get() & ON_TABLE != 0
    }

    /// Records that the element was taken off the list of its storage.
    pub(super) fn left_storage(&self) {
        self.linked_on.set(self.linked_on.get() & !ON_STORAGE);
    }

    /// Records that the object was taken out of its table.
    pub(super) fn left_table(&self) {
        self.linked_on.set(self.linked_on.get() & !ON_TABLE);
    }

    /// Returns whether the object is on no list.
    pub(super) fn is_unlinked(&self) -> bool {
        self.linked_on.get() == 0
    }
}
