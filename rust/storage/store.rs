// SPDX-License-Identifier: GPL-2.0

//! All elements of one owner.

use super::{
    owner::{
        Label,
        OwnerId, //
    },
    reaper::{
        Kind,
        Remains, //
    },
    table::Node, //
};
use crate::sync::{
    fault::Point,
    hlist::HListHead,
    nolock,
    rcu::Guard,
    res_lock::ResLock, //
};
use core::{
    alloc::Layout,
    mem::offset_of,
    ptr::NonNull, //
};

/// An owner's storage.
///
/// # Life
///
/// | state    | key in `node` | list of elements | who may do what                              |
/// |----------|---------------|------------------|----------------------------------------------|
/// | new      | live          | empty            | its creator alone, who holds the lock        |
/// | live     | live          | not empty        | anyone who holds the lock links and unlinks  |
/// | dying    | dead          | not empty        | the owner has died: unlink only              |
/// | empty    | dead          | empty            | who unlinked the last element takes it out   |
/// | unlinked | dead          | empty            | readers of the index may still stand on it   |
/// | freed    |               |                  | a grace period later, by the reaper          |
///
/// The list becomes empty once, under the lock; the one who makes it empty kills the storage in the
/// same critical section and owns it from then on. With the lock free, a live storage is not empty.
///
/// # Invariants
///
/// `elements` is changed only with `lock` held.
#[repr(C)]
pub(crate) struct Storage {
    pub(super) remains: Remains,
    pub(super) node: Node,
    pub(super) lock: ResLock<()>,
    pub(super) elements: HListHead,
    label: Describe,
}

// The reaper comes back from the remains to the storage.
const _: () = assert!(offset_of!(Storage, remains) == 0);

/// [`Owner::label`](super::owner::Owner::label) of the owner's kind: what is shown may change while
/// the owner lives.
pub(super) type Describe = unsafe fn(OwnerId, &Guard) -> Label;

impl Storage {
    const LAYOUT: Layout = Layout::new::<Storage>();

    /// Allocates an empty storage that is in no index yet.
    pub(super) fn alloc(id: OwnerId, label: Describe) -> Option<NonNull<Storage>> {
        let storage = nolock::alloc(Self::LAYOUT, Point::StorageAlloc)?.cast::<Storage>();
        let new = Storage {
            remains: Remains::new(Kind::Storage),
            node: Node::new(id),
            lock: ResLock::new(()),
            elements: HListHead::new(),
            label,
        };
        // SAFETY: The memory is large enough, aligned, and ours.
        unsafe { storage.write(new) };
        Some(storage)
    }

    /// The storage that `node` is in.
    ///
    /// # Safety
    ///
    /// `node` must be the node of a storage.
    pub(super) unsafe fn of_node(node: &Node) -> &Storage {
        // SAFETY: By the contract the storage is around the node, and lives as long.
        unsafe { &*kernel::container_of!(core::ptr::from_ref(node), Storage, node) }
    }

    /// How the owner is shown.
    ///
    /// # Safety
    ///
    /// An element of this storage must have been seen live under `rcu`.
    pub(super) unsafe fn label(&self, rcu: &Guard) -> Label {
        // SAFETY: By the contract.
        unsafe { (self.label)(self.node.id(), rcu) }
    }
}
