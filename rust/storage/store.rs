// SPDX-License-Identifier: GPL-2.0

//! All elements of one owner.

use super::{
    charge::Charge,
    element::Element,
    owner::{
        Label,
        Owner,
        OwnerId,
        OwnerOps, //
    },
    reap_node::{
        ReapNode,
        Reapable, //
    },
    stats::Stats,
    table::Node, //
};
use crate::sync::{
    fault::Site,
    hlist::HListHead,
    nolock::{
        self,
        AllocSource, //
    },
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
/// | dying    | dead          | not empty        | the owner has died: unlink only; the notice  |
/// |          |               |                  | of death takes it out if it alone claims     |
/// | empty    | dead          | empty            | who unlinked the last element takes it out,  |
/// |          |               |                  | or who was refused the charge for the first  |
/// | unlinked | dead          | empty, or dead   | readers of the index may still stand on it   |
/// | freed    |               |                  | a grace period later, by the reaper          |
///
/// The list becomes empty once, under the lock; the one who makes it empty kills the storage in the
/// same critical section and owns it from then on. With the lock free, a live storage is not empty.
/// A notice of death that has claimed all elements on the list leaves them there, so that nobody
/// makes it empty, and owns the storage.
///
/// # Invariants
///
/// `elements` is changed only with `lock` held.
#[repr(C)]
pub(crate) struct Storage {
    pub(super) reap_node: ReapNode,
    pub(super) node: Node,
    pub(super) lock: ResLock<()>,
    pub(super) elements: HListHead,
    pub(super) ops: &'static OwnerOps,
    pub(super) charge: Charge,
}

// The reaper comes back from the reap_node to the storage.
const _: () = assert!(offset_of!(Storage, reap_node) == 0);

impl Storage {
    const LAYOUT: Layout = Layout::new::<Storage>();

    /// What an owner is charged for its storage, in bytes.
    pub(super) const CHARGE: u32 = size_of::<Storage>() as u32;

    /// Allocates an empty storage that is in no index yet.
    pub(super) fn alloc(
        id: OwnerId,
        ops: &'static OwnerOps,
        source: AllocSource<'_>,
    ) -> Option<NonNull<Storage>> {
        let memory = nolock::alloc(Self::LAYOUT, Site::StorageAlloc, source)?;
        let storage = memory.cast::<Storage>();
        let new = Storage {
            reap_node: ReapNode::new(Reapable::Storage),
            node: Node::new(id),
            lock: ResLock::new(()),
            elements: HListHead::new(),
            ops,
            charge: Charge::none(),
        };
        // SAFETY: The memory is large enough, aligned, and ours.
        unsafe { storage.write(new) };
        Some(storage)
    }

    /// Frees a storage. Process context.
    ///
    /// # Safety
    ///
    /// The caller must own the storage, and nobody else may be able to reach it.
    pub(super) unsafe fn free(storage: NonNull<Storage>, stats: &Stats) {
        // SAFETY: It was allocated so, and needs no drop.
        unsafe { nolock::free_in_task(storage.cast()) };
        stats.this_cpu().storages.sub(1);
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

    /// The elements on the list. Whatever is on it throughout is seen.
    pub(super) fn iter<'a>(&self, rcu: &'a Guard) -> impl Iterator<Item = &'a Element> + use<'a> {
        // SAFETY: The members of the list are elements.
        let of_peers = |peers| unsafe { Element::of_peers(peers) };
        self.elements.iter(rcu).map(of_peers)
    }

    /// How the owner is shown.
    ///
    /// # Safety
    ///
    /// As [`OwnerOps::number_of`]: an element of this storage must have been seen live under `rcu`.
    pub(super) unsafe fn label(&self, rcu: &Guard) -> Label {
        // SAFETY: By the contract.
        let id = unsafe { (self.ops.number_of)(self.node.id(), rcu) };
        Label {
            kind: self.ops.kind,
            id,
        }
    }

    /// Charges the owner for a new element that others can find already, if such owners are charged.
    /// False if that would pass its limit.
    pub(super) fn pay(&self, elem: &Element, owner: &impl Owner, stats: &Stats) -> bool {
        if self.ops.uncharge.is_none() {
            return true;
        }
        let bytes = elem.map().charge();
        if !owner.charge(bytes) {
            return false;
        }
        self.charge.add(bytes, stats);
        if !elem.reap_node.paid.give() {
            // Whoever has claimed it found nothing to give back.
            //
            // SAFETY: The caller has the owner.
            unsafe { self.give_back(bytes, stats) };
        }
        true
    }

    /// Charges the owner for an element that nobody else can find yet and for `more` bytes, if such
    /// owners are charged. False if that would pass its limit.
    pub(super) fn pay_new(
        &self,
        elem: &Element,
        more: u32,
        owner: &impl Owner,
        stats: &Stats,
    ) -> bool {
        if self.ops.uncharge.is_none() {
            return true;
        }
        let bytes = more + elem.map().charge();
        let paid = owner.charge(bytes);
        if paid {
            self.charge.add(bytes, stats);
            elem.reap_node.paid.start();
        }
        paid
    }

    /// Gives back what was charged for an element that the caller has claimed.
    ///
    /// # Safety
    ///
    /// As [`Charge::give_back`].
    pub(super) unsafe fn refund(&self, elem: &Element, stats: &Stats) {
        if self.ops.uncharge.is_some() && elem.reap_node.paid.take() {
            // SAFETY: By the contract.
            unsafe { self.give_back(elem.map().charge(), stats) };
        }
    }

    /// Gives `bytes` back to the owner.
    ///
    /// # Safety
    ///
    /// As [`Charge::give_back`].
    pub(super) unsafe fn give_back(&self, bytes: u32, stats: &Stats) {
        let id = self.node.id();
        // SAFETY: By the contract.
        unsafe { self.charge.give_back(id, self.ops, bytes, stats) };
    }
}
