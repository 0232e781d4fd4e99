// SPDX-License-Identifier: GPL-2.0

//! Takes dead elements and storages out of their lists.

use super::{
    element::Element,
    lock_mode::{
        LockMode,
        Spin, //
    },
    reaper::Batch,
    runtime::Runtime,
    store::Storage, //
};
use crate::sync::{
    fault::{
        self,
        Site, //
    },
    rcu::Guard,
    trace::{
        self,
        Event, //
    }, //
};
use core::ptr::NonNull;

/// Retires an element: gives back its charge, or ends the hint that leads to it, unlinks it as far
/// as the locks allow, and hands it to the reaper. Any context.
///
/// # Safety
///
/// The caller must have claimed the element. It passes on the ownership that the claim gave it.
#[inline(never)]
pub(super) unsafe fn retire(elem: &Element, rcu: &Guard) {
    let map = elem.map();
    let runtime = map.runtime;
    if let Some(storage) = elem.storage(rcu) {
        // SAFETY: If the element is on the list of the storage, it keeps the storage live in the
        // index. If an update has removed it from the list, the caller is that update, which has a
        // reference to the owner.
        unsafe { storage.withdraw(elem, &runtime.stats) };
    }
    // SAFETY: By the safety requirements the caller has claimed the element.
    unsafe { unlink(elem, rcu) };
    count_deferral(elem);
    // SAFETY: By the safety requirements the caller owns the element, and passes it on. `reap_node`
    // tells which lists it is on.
    unsafe { runtime.reaper.take(&elem.reap_node, map.element_size()) };
}

/// Counts an element that is handed over, if it is on a list still.
#[inline(always)]
pub(super) fn count_deferral(elem: &Element) {
    #[cold]
    fn count(elem: &Element) {
        elem.map().counters().this_cpu().deferred.add(1);
        elem.map().runtime.stats.this_cpu().deferred.add(1);
    }

    if !elem.reap_node.is_unlinked() {
        count(elem);
    }
}

/// Unlinks an element. Returns false if the lock of a list was not taken. Any context.
///
/// The two lists are independent. If the lock of one cannot be taken, the element is unlinked from
/// the other one all the same.
///
/// Inlined with both sections: as functions, each would save the registers of its caller.
///
/// # Safety
///
/// The caller must own the element since it was claimed.
#[inline(always)]
pub(super) unsafe fn unlink(elem: &Element, rcu: &Guard) -> bool {
    // SAFETY: By the safety requirements the caller owns the element.
    unsafe { unlink_from_storage::<Spin>(elem, rcu) };
    // SAFETY: As above.
    unsafe { unlink_from_table::<Spin>(elem, rcu) };
    elem.reap_node.is_unlinked()
}

/// Takes an element out of the table of its map, if it is there and the bucket's lock can be taken.
/// Any context.
///
/// # Safety
///
/// The caller must own the element since it was claimed.
#[inline(always)]
pub(super) unsafe fn unlink_from_table<L: LockMode>(elem: &Element, rcu: &Guard) {
    if elem.reap_node.on_table() {
        let table = &elem.map().table;
        let node = NonNull::from(&elem.node);
        let locked = || trace::event(Event::BucketLocked, elem.node.addr());
        // SAFETY: By `reap_node` the node is a member of this table. By the safety requirements it
        // was claimed, and the caller owns it.
        if unsafe { table.unlink::<L>(node, Site::BucketLock, locked, rcu) } {
            elem.reap_node.left_table();
        }
    }
}

/// Removes an element from the list of its storage, if it is there and the lock can be taken. If
/// that empties the list, retires the storage. Any context.
///
/// # Safety
///
/// The caller must own the element since it was claimed.
#[inline(always)]
pub(super) unsafe fn unlink_from_storage<L: LockMode>(elem: &Element, rcu: &Guard) {
    if elem.reap_node.on_storage() && remove_from_storage::<L>(elem, rcu) {
        elem.reap_node.left_storage();
    }
}

#[inline(always)]
fn remove_from_storage<L: LockMode>(elem: &Element, rcu: &Guard) -> bool {
    let Some(storage) = elem.storage(rcu) else {
        return true;
    };
    let emptied = L::with(&storage.lock, Site::UnlinkLock, || {
        trace::event(Event::StorageLocked, storage.node.addr());
        // SAFETY: The lock is held, which serializes changes of this list.
        let mut peers = unsafe { storage.elements.assume_locked() };
        fault::pause(Site::ListRemove);
        // SAFETY: The caller has checked that the element is on this list, by `reap_node`.
        unsafe { peers.remove(NonNull::from(&elem.peers)) };
        // A notice of death may have claimed the storage before. The CPU that empties the list
        // retires it in either case.
        peers.is_empty() && {
            // SAFETY: Either the storage is live still, since this call claims it below. Or its
            // owner's notice of death has ended the charge, and this call does nothing.
            unsafe { storage.give_back(Storage::CHARGE, &elem.map().runtime.stats) };
            storage.node.claim(Site::StorageClaim);
            true
        }
    });
    if emptied == Some(true) {
        // SAFETY: This call has emptied the storage, which was claimed.
        unsafe { retire_storage::<L>(elem.map().runtime, storage, rcu) };
    }
    emptied.is_some()
}

/// Removes a batch of elements from the list of their storage, as [`unlink_from_storage`] does.
///
/// # Safety
///
/// The caller must own all objects of the batch since they were claimed, and all of them must be
/// elements.
pub(super) unsafe fn unlink_all_from_storage<L: LockMode>(dead: &Batch, rcu: &Guard) {
    for link in dead.links() {
        // SAFETY: By the safety requirements the link is that of an element. It is the first field.
        let elem = unsafe { link.cast::<Element>().as_ref() };
        // SAFETY: By the safety requirements the caller owns the element.
        unsafe { unlink_from_storage::<L>(elem, rcu) };
        count_deferral(elem);
    }
}

/// Retires a storage: takes it out of the index as far as the lock allows, and hands it to the
/// reaper. Any context.
///
/// # Safety
///
/// The caller must have emptied the storage, and it must have been claimed.
pub(super) unsafe fn retire_storage<L: LockMode>(
    runtime: &Runtime,
    storage: &Storage,
    rcu: &Guard,
) {
    // SAFETY: By the safety requirements the caller owns the storage.
    unsafe { unlink_or_defer_storage::<L>(runtime, storage, rcu) };
    let reap_node = &storage.reap_node;
    // SAFETY: As above. `reap_node` tells whether it is in the index still.
    unsafe { runtime.reaper.take(reap_node, size_of::<Storage>()) };
}

/// Takes a storage out of the index. If the lock cannot be taken, counts the storage as deferred.
/// Any context.
///
/// # Safety
///
/// As for [`unlink_storage`].
pub(super) unsafe fn unlink_or_defer_storage<L: LockMode>(
    runtime: &Runtime,
    storage: &Storage,
    rcu: &Guard,
) {
    // SAFETY: The safety requirements are those of `unlink_storage`.
    if !unsafe { unlink_storage::<L>(runtime, storage, rcu) } {
        runtime.stats.this_cpu().deferred.add(1);
    }
}

/// Takes a storage out of the index. Returns false if the bucket's lock was not taken. Any context.
///
/// # Safety
///
/// The caller must own the storage: it has emptied it, or it is the notice of death that has
/// claimed all its elements.
pub(super) unsafe fn unlink_storage<L: LockMode>(
    runtime: &Runtime,
    storage: &Storage,
    rcu: &Guard,
) -> bool {
    let node = NonNull::from(&storage.node);
    // SAFETY: The storage was published, so its node is a member of the index. It is dead, and the
    // caller owns it.
    let is_out = unsafe { runtime.index.unlink::<L>(node, Site::IndexLock, || (), rcu) };
    if is_out {
        storage.reap_node.left_table();
    }
    is_out
}
