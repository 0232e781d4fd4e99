// SPDX-License-Identifier: GPL-2.0

//! Taking what is dead out of its lists.

use super::{
    element::Element,
    runtime::Runtime,
    store::Storage, //
};
use crate::sync::{
    fault::{
        self,
        Point, //
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
pub(super) unsafe fn bury(elem: &Element, rcu: &Guard) {
    let map = elem.map();
    if let Some(storage) = elem.storage(rcu) {
        // SAFETY: Either the element keeps the storage live, being on its list, or it was replaced,
        // by somebody who has the owner.
        unsafe { storage.refund(elem, &map.runtime.stats) };
    }
    // SAFETY: By the contract.
    if unsafe { unlink(elem, rcu) } {
        // SAFETY: By the contract, and it is unlinked.
        unsafe { map.runtime.reaper.free(&elem.remains) };
    } else {
        map.counters().deferred.add(1);
        // SAFETY: By the contract.
        unsafe { map.runtime.reaper.finish(&elem.remains) };
    }
}

/// Unlinks an element; false if a lock could not be had. Any context.
///
/// The lists are independent: the failure of one lock does not keep the element on the other.
///
/// # Safety
///
/// The caller must own the element by its claim.
pub(super) unsafe fn unlink(elem: &Element, rcu: &Guard) -> bool {
    let remains = &elem.remains;
    if remains.on_storage() && leave_storage(elem, rcu) {
        remains.left_storage();
    }
    if remains.on_table() {
        let node = NonNull::from(&elem.node);
        // SAFETY: A member of its map's table, claimed by the caller.
        let left = unsafe { elem.map().table.unlink(node, Point::BucketLock, rcu) };
        if left.is_ok() {
            remains.left_table();
        }
    }
    !remains.on_storage() && !remains.on_table()
}

fn leave_storage(elem: &Element, rcu: &Guard) -> bool {
    let Some(storage) = elem.storage(rcu) else {
        return true;
    };
    let emptied = storage.lock.with(Point::UnlinkLock, |()| {
        trace::event(Event::StorageLocked, storage.node.addr());
        // SAFETY: The lock is held.
        let mut peers = unsafe { storage.elements.assume_locked() };
        fault::pause(Point::ListRemove);
        // SAFETY: A member, by the state of `remains`.
        unsafe { peers.remove(NonNull::from(&elem.peers)) };
        // The owner's death may have killed the storage before; being empty is what counts.
        peers.is_empty() && {
            // SAFETY: Before the claim, the storage is live, or the owner's death has ended it.
            unsafe { storage.give_back(Storage::CHARGE, &elem.map().runtime.stats) };
            storage.node.claim(Point::StorageClaim);
            true
        }
    });
    if emptied == Ok(true) {
        // SAFETY: We emptied it.
        unsafe { bury_storage(elem.map().runtime, storage, rcu) };
    }
    emptied.is_ok()
}

/// Takes a storage out of the index as far as the lock allows, and hands it to the reaper. Any
/// context.
///
/// # Safety
///
/// The caller must have emptied the storage.
pub(super) unsafe fn bury_storage(runtime: &Runtime, storage: &Storage, rcu: &Guard) {
    // SAFETY: By the contract.
    if unsafe { unlink_storage(runtime, storage, rcu) } {
        // SAFETY: By the contract, and it is unlinked.
        unsafe { runtime.reaper.free(&storage.remains) };
    } else {
        // SAFETY: By the contract.
        unsafe { runtime.reaper.finish(&storage.remains) };
    }
}

/// Takes a storage out of the index; false if the lock could not be had. Any context.
///
/// # Safety
///
/// The caller must own the storage, having emptied it.
pub(super) unsafe fn unlink_storage(runtime: &Runtime, storage: &Storage, rcu: &Guard) -> bool {
    let node = NonNull::from(&storage.node);
    // SAFETY: A member of the index since it was published, dead, and the caller's.
    unsafe { runtime.index.unlink(node, Point::IndexLock, rcu) }.is_ok()
}
