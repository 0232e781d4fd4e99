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
    res_lock::ResLock,
    trace::{
        self,
        Event, //
    }, //
};
use core::ptr::NonNull;

/// What is done about a lock that somebody holds.
pub(crate) trait Patience {
    /// Runs `f` with the lock held; [`None`] if it could not be had. Any context.
    fn with<R>(lock: &ResLock<()>, point: Point, f: impl FnOnce() -> R) -> Option<R>;
}

/// Waits for it, as the lock does.
pub(crate) struct Waits;

impl Patience for Waits {
    #[inline(always)]
    fn with<R>(lock: &ResLock<()>, point: Point, f: impl FnOnce() -> R) -> Option<R> {
        lock.with(point, |()| f()).ok()
    }
}

/// Does without.
pub(crate) struct WaitsForNobody;

impl Patience for WaitsForNobody {
    #[inline(always)]
    fn with<R>(lock: &ResLock<()>, point: Point, f: impl FnOnce() -> R) -> Option<R> {
        lock.try_with(point, |()| f())
    }
}

/// Gives back what the owner was charged for an element, unlinks it as far as the locks allow, and
/// hands it to the reaper. Any context.
///
/// # Safety
///
/// The caller must have claimed the element, and give up what that made it own.
pub(super) unsafe fn bury(elem: &Element, rcu: &Guard) {
    if let Some(storage) = elem.storage(rcu) {
        // SAFETY: Either the element keeps the storage live, being on its list, or it was replaced,
        // by somebody who has the owner.
        unsafe { storage.refund(elem, &elem.map().runtime.stats) };
    }
    // SAFETY: By the contract.
    unsafe { bury_with::<Waits>(elem, rcu) };
}

/// As [`bury`], of a dead owner, to whom nothing is given back.
///
/// # Safety
///
/// As [`bury`].
pub(super) unsafe fn bury_with<P: Patience>(elem: &Element, rcu: &Guard) {
    let map = elem.map();
    let runtime = map.runtime;
    // SAFETY: By the contract.
    if !unsafe { unlink::<P>(elem, rcu) } {
        map.counters().deferred.add(1);
        runtime.stats.deferred.add(1);
    }
    // SAFETY: By the contract; what is still linked, `remains` say.
    unsafe { runtime.reaper.take(&elem.remains, map.element_size()) };
}

/// Unlinks an element; false if a lock could not be had. Any context.
///
/// The lists are independent: the failure of one lock does not keep the element on the other.
///
/// # Safety
///
/// The caller must own the element by its claim.
pub(super) unsafe fn unlink<P: Patience>(elem: &Element, rcu: &Guard) -> bool {
    let remains = &elem.remains;
    if remains.on_storage() && leave_storage::<P>(elem, rcu) {
        remains.left_storage();
    }
    if remains.on_table() {
        let node = NonNull::from(&elem.node);
        let table = &elem.map().table;
        // SAFETY: A member of its map's table, claimed by the caller.
        if unsafe { table.unlink::<P>(node, Point::BucketLock, rcu) } {
            remains.left_table();
        }
    }
    remains.is_unlinked()
}

fn leave_storage<P: Patience>(elem: &Element, rcu: &Guard) -> bool {
    let Some(storage) = elem.storage(rcu) else {
        return true;
    };
    let emptied = P::with(&storage.lock, Point::UnlinkLock, || {
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
    if emptied == Some(true) {
        // SAFETY: We emptied it.
        unsafe { bury_storage::<P>(elem.map().runtime, storage, rcu) };
    }
    emptied.is_some()
}

/// Takes a storage out of the index as far as the lock allows, and hands it to the reaper. Any
/// context.
///
/// # Safety
///
/// The caller must have emptied the storage.
pub(super) unsafe fn bury_storage<P: Patience>(runtime: &Runtime, storage: &Storage, rcu: &Guard) {
    // SAFETY: By the contract.
    if !unsafe { unlink_storage::<P>(runtime, storage, rcu) } {
        runtime.stats.deferred.add(1);
    }
    // SAFETY: By the contract; whether it is still linked, `remains` say.
    unsafe { runtime.reaper.take(&storage.remains, size_of::<Storage>()) };
}

/// Takes a storage out of the index; false if the lock could not be had. Any context.
///
/// # Safety
///
/// The caller must own the storage, having emptied it.
pub(super) unsafe fn unlink_storage<P: Patience>(
    runtime: &Runtime,
    storage: &Storage,
    rcu: &Guard,
) -> bool {
    let node = NonNull::from(&storage.node);
    // SAFETY: A member of the index since it was published, dead, and the caller's.
    let is_out = unsafe { runtime.index.unlink::<P>(node, Point::IndexLock, rcu) };
    if is_out {
        storage.remains.left_table();
    }
    is_out
}
