// SPDX-License-Identifier: GPL-2.0

//! Taking what is dead out of its lists.

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

/// Gives back what the owner was charged for an element, unlinks it as far as the locks allow, and
/// hands it to the reaper. Any context.
///
/// # Safety
///
/// The caller must have claimed the element, and give up what that made it own.
pub(super) unsafe fn retire(elem: &Element, rcu: &Guard) {
    let map = elem.map();
    let runtime = map.runtime;
    if let Some(storage) = elem.storage(rcu) {
        // SAFETY: Either the element keeps the storage live, being on its list, or it was replaced,
        // by somebody who has the owner.
        unsafe { storage.refund(elem, &runtime.stats) };
    }
    // SAFETY: By the contract.
    unsafe { unlink(elem, rcu) };
    count_deferral(elem);
    // SAFETY: By the contract; what is still linked, `reap_node` say.
    unsafe { runtime.reaper.take(&elem.reap_node, map.element_size()) };
}

/// Counts an element that is handed over still linked, if it is.
pub(super) fn count_deferral(elem: &Element) {
    if !elem.reap_node.is_unlinked() {
        elem.map().counters().this_cpu().deferred.add(1);
        elem.map().runtime.stats.this_cpu().deferred.add(1);
    }
}

/// Unlinks an element; false if a lock could not be had. Any context.
///
/// The lists are independent: the failure of one lock does not keep the element on the other.
///
/// # Safety
///
/// The caller must own the element by its claim.
#[inline(always)]
pub(super) unsafe fn unlink(elem: &Element, rcu: &Guard) -> bool {
    // SAFETY: By the contract.
    unsafe { unlink_from_storage::<Spin>(elem, rcu) };
    // SAFETY: Likewise.
    unsafe { unlink_from_table::<Spin>(elem, rcu) };
    elem.reap_node.is_unlinked()
}

/// Takes an element out of its map's table, if it is there and the lock allows. Any context.
///
/// # Safety
///
/// The caller must own the element by its claim.
pub(super) unsafe fn unlink_from_table<L: LockMode>(elem: &Element, rcu: &Guard) {
    if elem.reap_node.on_table() {
        let node = NonNull::from(&elem.node);
        let locked = || trace::event(Event::BucketLocked, elem.node.addr());
        // SAFETY: A member of its map's table, claimed by the caller.
        if unsafe {
            elem.map()
                .table
                .unlink::<L>(node, Site::BucketLock, locked, rcu)
        } {
            elem.reap_node.left_table();
        }
    }
}

/// Takes an element off its storage's list, if it is there and the lock allows, and with the last
/// one retires the storage. Any context.
///
/// # Safety
///
/// The caller must own the element by its claim.
pub(super) unsafe fn unlink_from_storage<L: LockMode>(elem: &Element, rcu: &Guard) {
    if elem.reap_node.on_storage() && remove_from_storage::<L>(elem, rcu) {
        elem.reap_node.left_storage();
    }
}

fn remove_from_storage<L: LockMode>(elem: &Element, rcu: &Guard) -> bool {
    let Some(storage) = elem.storage(rcu) else {
        return true;
    };
    let emptied = L::with(&storage.lock, Site::UnlinkLock, || {
        trace::event(Event::StorageLocked, storage.node.addr());
        // SAFETY: The lock is held.
        let mut peers = unsafe { storage.elements.assume_locked() };
        fault::pause(Site::ListRemove);
        // SAFETY: A member, by the state of `reap_node`.
        unsafe { peers.remove(NonNull::from(&elem.peers)) };
        // The owner's death may have killed the storage before; being empty is what counts.
        peers.is_empty() && {
            // SAFETY: Before the claim, the storage is live, or the owner's death has ended it.
            unsafe { storage.give_back(Storage::CHARGE, &elem.map().runtime.stats) };
            storage.node.claim(Site::StorageClaim);
            true
        }
    });
    if emptied == Some(true) {
        // SAFETY: We emptied it.
        unsafe { retire_storage::<L>(elem.map().runtime, storage, rcu) };
    }
    emptied.is_some()
}

/// Takes elements off their storage's list as [`unlink_from_storage`] does.
///
/// # Safety
///
/// The caller must own the elements by their claims, and all that is dead must be elements.
pub(super) unsafe fn unlink_all_from_storage<L: LockMode>(dead: &Batch, rcu: &Guard) {
    for link in dead.links() {
        // SAFETY: By the contract; the link is the first field.
        let elem = unsafe { link.cast::<Element>().as_ref() };
        // SAFETY: By the contract.
        unsafe { unlink_from_storage::<L>(elem, rcu) };
        count_deferral(elem);
    }
}

/// Takes a storage out of the index as far as the lock allows, and hands it to the reaper. Any
/// context.
///
/// # Safety
///
/// The caller must have emptied the storage.
pub(super) unsafe fn retire_storage<L: LockMode>(
    runtime: &Runtime,
    storage: &Storage,
    rcu: &Guard,
) {
    // SAFETY: By the contract.
    unsafe { unlink_or_defer_storage::<L>(runtime, storage, rcu) };
    // SAFETY: By the contract; whether it is still linked, `reap_node` say.
    unsafe {
        runtime
            .reaper
            .take(&storage.reap_node, size_of::<Storage>())
    };
}

/// Takes a storage out of the index, or counts it as one that is handed over still linked. Any
/// context.
///
/// # Safety
///
/// As [`unlink_storage`].
pub(super) unsafe fn unlink_or_defer_storage<L: LockMode>(
    runtime: &Runtime,
    storage: &Storage,
    rcu: &Guard,
) {
    // SAFETY: By the contract.
    if !unsafe { unlink_storage::<L>(runtime, storage, rcu) } {
        runtime.stats.this_cpu().deferred.add(1);
    }
}

/// Takes a storage out of the index; false if the lock could not be had. Any context.
///
/// # Safety
///
/// The caller must own the storage, having emptied it or ended it as a whole.
pub(super) unsafe fn unlink_storage<L: LockMode>(
    runtime: &Runtime,
    storage: &Storage,
    rcu: &Guard,
) -> bool {
    let node = NonNull::from(&storage.node);
    // SAFETY: A member of the index since it was published, dead, and the caller's.
    let is_out = unsafe { runtime.index.unlink::<L>(node, Site::IndexLock, || (), rcu) };
    if is_out {
        storage.reap_node.left_table();
    }
    is_out
}
