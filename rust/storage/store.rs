// SPDX-License-Identifier: GPL-2.0

//! The storage of an owner: all its elements.

use super::{
    charge::Charge,
    element::Element,
    owner::{
        Label,
        Owner,
        OwnerId,
        OwnerOps,
        Visits, //
    },
    reap_node::{
        ReapNode,
        Reapable, //
    },
    reserve::Source,
    stats::Stats,
    table::Node, //
};
use crate::sync::{
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
/// # States
///
/// | state    | key in `node` | `elements`     | access                                         |
/// |----------|---------------|----------------|------------------------------------------------|
/// | new      | live          | empty          | the creator only, which holds the lock         |
/// | live     | live          | not empty      | with the lock held: link, unlink               |
/// | dying    | dead          | not empty      | with the lock held: unlink; the owner has died |
/// | empty    | dead          | empty          | the CPU that emptied the list unlinks it       |
/// | unlinked | dead          | empty, or dead | readers of the index that have found it before |
/// | freed    |               |                | none; a grace period after `unlinked`          |
///
/// The list becomes empty at most once, with the lock held. The CPU that makes it empty claims the
/// storage in the same critical section and owns it from then on. So while the lock is free, a live
/// storage is not empty. A create whose charge for the first element is refused leaves the storage
/// empty. It claims the storage, too, before it releases the lock.
///
/// A notice of death that has claimed every element on the list leaves the elements on the list. So
/// no other CPU makes the list empty, and the notice of death owns the storage.
///
/// # Invariants
///
/// `elements` is changed only with `lock` held. Its members are the `peers` fields of elements.
#[repr(C)]
pub(crate) struct Storage {
    pub(super) reap_node: ReapNode,
    pub(super) node: Node,
    pub(super) lock: ResLock<()>,
    pub(super) elements: HListHead,
    pub(super) ops: &'static OwnerOps,
    pub(super) charge: Charge,
}

// The reaper casts a pointer to a `ReapNode` to one to its storage.
const _: () = assert!(offset_of!(Storage, reap_node) == 0);

impl Storage {
    pub(super) const LAYOUT: Layout = Layout::new::<Storage>();

    /// What an owner is charged for its storage, in bytes.
    pub(super) const CHARGE: u32 = size_of::<Storage>() as u32;

    /// Allocates an empty storage that is not in the index yet.
    pub(super) fn alloc(
        id: OwnerId,
        ops: &'static OwnerOps,
        source: impl Source,
    ) -> Option<NonNull<Storage>> {
        let memory = source.take_storage()?;
        let storage = memory.cast::<Storage>();
        let new = Storage {
            reap_node: ReapNode::new(Reapable::Storage),
            node: Node::new(id),
            lock: ResLock::new(()),
            elements: HListHead::new(),
            ops,
            charge: Charge::none(),
        };
        // SAFETY: `nolock::alloc()` returned memory for this layout, and no other CPU knows it.
        unsafe { storage.write(new) };
        Some(storage)
    }

    /// Frees a storage. Process context.
    ///
    /// # Safety
    ///
    /// The caller must own the storage, and no reader may be able to reach it.
    pub(super) unsafe fn free(storage: NonNull<Storage>, stats: &Stats) {
        // SAFETY: The memory came from `nolock::alloc()`. By the safety requirements the caller
        // owns it. A `Storage` needs no drop.
        unsafe { nolock::free_in_task(storage.cast()) };
        stats.this_cpu().storages.sub(1);
    }

    /// The storage that `node` is a field of.
    ///
    /// # Safety
    ///
    /// `node` must be the `node` field of a storage.
    pub(super) unsafe fn of_node(node: &Node) -> &Storage {
        // SAFETY: By the safety requirements `node` is a field of a `Storage`, which is valid as
        // long as the reference to its field.
        unsafe { &*kernel::container_of!(core::ptr::from_ref(node), Storage, node) }
    }

    /// The elements on the list. Every element that is on the list for the whole walk is visited.
    pub(super) fn iter<'a>(&self, rcu: &'a Guard) -> impl Iterator<Item = &'a Element> + use<'a> {
        // SAFETY: By the type invariant the members of the list are the `peers` fields of elements.
        let of_peers = |peers| unsafe { Element::of_peers(peers) };
        self.elements.iter(rcu).map(of_peers)
    }

    /// The label of the owner.
    ///
    /// # Safety
    ///
    /// As for [`OwnerOps::number_of`]: an element of this storage must have been seen live under
    /// `rcu`.
    pub(super) unsafe fn label(&self, rcu: &Guard) -> Label {
        // SAFETY: By the safety requirements an element of this owner was seen live under the
        // guard.
        let id = unsafe { (self.ops.number_of)(self.node.id(), rcu) };
        Label {
            kind: self.ops.kind,
            id,
        }
    }

    /// Returns whether owners of this kind are charged.
    fn is_charged(&self) -> bool {
        matches!(self.ops.visits, Visits::Charge(_))
    }

    /// Charges the owner for a new element that other CPUs can find already, if owners of this kind
    /// are charged. Returns false if that would exceed the owner's limit.
    pub(super) fn pay(&self, elem: &Element, owner: &impl Owner, stats: &Stats) -> bool {
        if !self.is_charged() {
            return true;
        }
        let bytes = elem.map().charge();
        if !owner.charge(bytes) {
            return false;
        }
        self.charge.add(bytes, stats);
        if !elem.reap_node.paid.give() {
            // The claimer of the element found no charge to give back.
            //
            // SAFETY: The caller has a reference to the owner, so the owner is alive.
            unsafe { self.give_back(bytes, stats) };
        }
        true
    }

    /// Charges the owner for an element that no other CPU can find yet, and for `more` bytes, if
    /// owners of this kind are charged. Returns false if that would exceed the owner's limit.
    #[inline(always)]
    pub(super) fn pay_new(
        &self,
        elem: &Element,
        more: u32,
        owner: &impl Owner,
        stats: &Stats,
    ) -> bool {
        if !self.is_charged() {
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

    /// Gives back what the owner was charged for an element that the caller has claimed, or lets no
    /// hint of the owner lead to it. To be called before the element is unlinked.
    ///
    /// # Safety
    ///
    /// As for [`Charge::give_back`].
    #[inline(always)]
    pub(super) unsafe fn withdraw(&self, elem: &Element, stats: &Stats) {
        if matches!(self.ops.visits, Visits::Nothing) {
            return;
        }
        if elem.reap_node.paid.take() {
            // SAFETY: The safety requirements are those of `Charge::give_back`.
            unsafe { self.give_back(elem.map().charge(), stats) };
        } else if self.has_hints() {
            // SAFETY: The safety requirements are those of this function.
            unsafe { self.withdraw_hint(elem) };
        }
    }

    /// Lets no hint of the owner lead to `elem`, unless the owner's notice of death has done so.
    ///
    /// # Safety
    ///
    /// As for [`Charge::give_back`].
    #[cold]
    #[inline(never)]
    unsafe fn withdraw_hint(&self, elem: &Element) {
        self.charge.visit(0, || {
            // SAFETY: A notice of death does not return before this visitor has left, by the safety
            // requirements.
            unsafe { self.forget_hint(elem) };
        });
    }

    /// Returns whether owners of this kind have hints.
    #[inline(always)]
    pub(super) fn has_hints(&self) -> bool {
        matches!(self.ops.visits, Visits::Hints(_))
    }

    /// Lets a hint of the owner lead to `elem`, if owners of this kind have hints.
    ///
    /// # Safety
    ///
    /// The caller must hold the lock of this storage, and have a reference to the owner. `elem`
    /// must be on the list of this storage, and in the table of its map.
    pub(super) unsafe fn hint_at(&self, elem: &Element) {
        if let Visits::Hints(hints) = self.ops.visits {
            // SAFETY: The caller has a reference to the owner. The others are those of this
            // function.
            unsafe { hints(self.node.id()).as_ref().set(elem) };
        }
    }

    /// Lets no hint of the owner lead to `elem`, if owners of this kind have hints.
    ///
    /// # Safety
    ///
    /// The owner's notice of death must not have returned, and it must not return before this
    /// function does.
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn forget_hint(&self, elem: &Element) {
        if let Visits::Hints(hints) = self.ops.visits {
            // SAFETY: By the safety requirements.
            unsafe { hints(self.node.id()).as_ref() }.forget(elem);
        }
    }

    /// Gives `bytes` back to the owner.
    ///
    /// # Safety
    ///
    /// As for [`Charge::give_back`].
    #[inline(always)]
    pub(super) unsafe fn give_back(&self, bytes: u32, stats: &Stats) {
        if let Visits::Charge(uncharge) = self.ops.visits {
            let id = self.node.id();
            // SAFETY: The safety requirements are those of `Charge::give_back`. `id` and `uncharge`
            // are the owner's.
            unsafe { self.charge.give_back(id, uncharge, bytes, stats) };
        }
    }
}
