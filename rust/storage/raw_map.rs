// SPDX-License-Identifier: GPL-2.0

//! A map whose values are memory of one size. Typed maps and maps of bytes are built on it.

use super::{
    drops::{
        self,
        Drops, //
    },
    element::{
        Element,
        VALUE_SIZE_MAX, //
    },
    owner::OwnerId,
    runtime::Runtime,
    stats::Counters,
    table::{
        Lookup,
        Table, //
    },
    unlink, //
};
use crate::sync::{
    compat::barrier,
    deferred::{
        self,
        Work, //
    },
    fault::{
        self,
        Site, //
    },
    rcu::{
        self,
        Guard, //
    },
    trace::{
        self,
        Event, //
    },
    Atomic,
    Completion,
    Full,
    Relaxed, //
};
use core::{
    ffi::c_void,
    ptr::NonNull, //
};
use kernel::prelude::*;

/// A map.
///
/// Its *holder* is the [`Map`](super::map::Map) or [`ByteMap`](super::map::ByteMap) that made it,
/// and that ends it.
///
/// # Invariants
///
/// - The members of `table` are the `node` fields of elements of this map.
/// - `unfreed` is the number of elements that are allocated, and one more until
///   [`RawMap::begin_end`] has walked the table. The CPU that brings it to 0 sets `end` to empty.
/// - `runtime` outlives the map.
///
/// # States
///
/// `ending` turns true once: when [`RawMap::announce_end`] is first called, before the end walks
/// the table.
///
/// | `end`    | meaning                          | changed by, and to                            |
/// |----------|----------------------------------|-----------------------------------------------|
/// | held     | the holder has the map, or waits | the holder, to detached; the CPU that brings  |
/// |          | for it to become empty           | `unfreed` to 0, to empty                      |
/// | detached | the holder did not wait          | the CPU that brings `unfreed` to 0, to empty; |
/// |          |                                  | that CPU frees the map                        |
/// | empty    | no element is left               | no CPU; after held, the holder frees the map  |
///
/// Each change is one fully ordered exchange.
#[pin_data]
pub(crate) struct RawMap {
    pub(super) table: Table,
    id: u64,
    value_size: usize,
    element_size: usize,
    values: Values,
    ending: Atomic<bool>,
    /// Set by the holder when the end begins to walk the table.
    walked: Atomic<bool>,
    pub(super) runtime: &'static Runtime,
    next_seq: Atomic<u64>,
    counters: Counters,
    unfreed: Atomic<usize>,
    end: Atomic<u32>,
    #[pin]
    gone: Completion,
    #[pin]
    drops: Work<Drops>,
}

const HELD: u32 = 0;
const DETACHED: u32 = 1;
const EMPTY: u32 = 2;

/// What a map does with its values. To the map, a value is bytes.
///
/// The functions have the ABI of C, since a map of a C module has that module's own functions here.
/// With kernel control-flow integrity, a call by another type than theirs would be a fault.
///
/// # Safety
///
/// A creator of a `Values` must ensure that the functions may be called on any thread for each
/// value that is stored in the map: `drop` once per value, in a kworker, and `clone` in any
/// context.
#[derive(Copy, Clone, Default)]
pub(crate) struct Values {
    /// Drops a value. Called in a kworker.
    pub(crate) drop: Option<DropValue>,
    /// Copies a value. Called in any context.
    pub(crate) clone: Option<CloneValue>,
}

/// Drops the value at the address.
pub(crate) type DropValue = unsafe extern "C" fn(*mut c_void);

/// Writes to the first address a copy of the value at the second one. The number is the size of a
/// value. The arguments are those of `memcpy()`.
pub(crate) type CloneValue = unsafe extern "C" fn(*mut c_void, *const c_void, usize);

// SAFETY: By the safety requirements of `Values` its functions may be called on any thread. All
// other fields are accessed by atomic operations, or do not change.
unsafe impl Sync for RawMap {}
// SAFETY: As above.
unsafe impl Send for RawMap {}

impl RawMap {
    /// A map of values of `value_size` bytes.
    ///
    /// The caller becomes the holder, and must end the map by [`RawMap::end`]. Fails with `E2BIG`
    /// if values of this size could not be allocated in every context. May sleep.
    ///
    /// # Safety
    ///
    /// The caller must meet the safety requirements of [`Values`].
    pub(super) unsafe fn new(value_size: usize, values: Values) -> Result<NonNull<Self>> {
        if value_size > VALUE_SIZE_MAX {
            return Err(E2BIG);
        }
        let runtime = Runtime::get().ok_or(ENODEV)?;
        let table = Table::new(runtime.sizes.map_bits)?;
        let counters = Counters::new()?;
        let element_size = Element::size(value_size);
        if fault::alloc(Site::MapAlloc) {
            return Err(ENOMEM);
        }
        let map = KBox::pin_init(
            pin_init!(Self {
                table,
                id: runtime.new_map_id(),
                value_size,
                element_size,
                values,
                ending: Atomic::new(false),
                walked: Atomic::new(false),
                runtime,
                next_seq: Atomic::new(1),
                counters,
                unfreed: Atomic::new(1),
                end: Atomic::new(HELD),
                gone <- Completion::new(),
                drops <- runtime.reaper.new_drops(),
            }),
            GFP_KERNEL,
        )?;
        runtime.stats.maps.add(1);
        runtime.stats.map_bytes.add(map.own_bytes());
        // SAFETY: The map stays at its address until `RawMap::free` pins it again.
        let map = KBox::into_raw(unsafe { Pin::into_inner_unchecked(map) });
        NonNull::new(map).ok_or(ENOMEM)
    }

    /// The number of the map. Maps are numbered in the order in which they are made.
    #[inline]
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Returns whether an owner that is created from another one gets copies of its values.
    pub(crate) fn clones(&self) -> bool {
        self.values.clone.is_some()
    }

    /// The function that copies a value, if owners that are created from others get copies.
    pub(super) fn clone_value(&self) -> Option<CloneValue> {
        self.values.clone
    }

    /// The size of a value in bytes.
    pub(crate) fn value_size(&self) -> usize {
        self.value_size
    }

    /// The size of an element in bytes.
    pub(crate) fn element_size(&self) -> usize {
        self.element_size
    }

    /// What an owner is charged for an element, in bytes.
    pub(super) fn charge(&self) -> u32 {
        self.element_size() as u32
    }

    /// The number of buckets.
    pub(crate) fn buckets(&self) -> usize {
        self.table.len()
    }

    /// What happened in this map.
    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The number of elements that are allocated.
    pub(crate) fn unfreed(&self) -> usize {
        self.unfreed.load(Relaxed) - 1
    }

    /// The size in bytes of the map, its table and its counters.
    fn own_bytes(&self) -> u64 {
        let table = self.table.len() * Table::BUCKET_SIZE;
        (size_of::<Self>() + table + self.counters.bytes()) as u64
    }

    /// The size in bytes of the map, its table, its counters and all elements that are allocated.
    pub(crate) fn bytes(&self) -> u64 {
        self.own_bytes() + (self.unfreed() * self.element_size()) as u64
    }

    /// Returns whether the elements of two owners share a bucket.
    pub(crate) fn share_bucket(&self, one: OwnerId, other: OwnerId) -> bool {
        self.table.share_bucket(one.addr(), other.addr())
    }

    /// The sequence number for a new element.
    pub(super) fn new_seq(&self) -> u64 {
        self.next_seq.fetch_add(1, Relaxed)
    }

    /// Finds the element of the owner. Any context; takes no lock.
    #[inline(always)]
    pub(crate) fn find<'a>(&'a self, id: OwnerId, rcu: &'a Guard) -> Option<&'a Element> {
        // SAFETY: By the type invariant the members of the table are the `node` fields of elements.
        Some(unsafe { Element::of_node(self.table.find(id, rcu)?) })
    }

    /// As [`RawMap::find`], for callers that call no function.
    #[inline(always)]
    pub(crate) fn find_in_leaf<'a>(&'a self, id: OwnerId, rcu: &'a Guard) -> Option<&'a Element> {
        // SAFETY: As in `find`.
        Some(unsafe { Element::of_node(self.table.find_in_leaf(id, rcu)?) })
    }

    /// Deletes the element of the owner, and returns it. Its value can be read as long as the guard
    /// lives.
    ///
    /// Any context. Returns [`None`] if there is none. Of several deletes that race for one
    /// element, one returns it. If a lock cannot be taken, the reaper unlinks the element later.
    pub(crate) fn delete<'a>(&'a self, id: OwnerId, rcu: &'a Guard) -> Option<&'a Element> {
        trace::event(Event::Enter, id.addr());
        let seen = self.table.lookup(id, rcu);
        // SAFETY: By the type invariant the members of the table are the `node` fields of elements.
        let elem = unsafe { Element::of_node(seen.found?) };
        if self.delete_elem(elem, rcu) {
            return Some(elem);
        }
        self.delete_newer(seen, id, rcu)
    }

    /// Deletes the element of the owner, after another CPU has claimed the one that `seen` has
    /// found: that one was deleted, or an update has replaced it.
    #[cold]
    #[inline(never)]
    fn delete_newer<'a>(
        &'a self,
        mut seen: Lookup<'a>,
        id: OwnerId,
        rcu: &'a Guard,
    ) -> Option<&'a Element> {
        loop {
            seen = self.table.relookup(seen, id, rcu);
            // SAFETY: As in `delete`.
            let elem = unsafe { Element::of_node(seen.found?) };
            if self.delete_elem(elem, rcu) {
                return Some(elem);
            }
        }
    }

    /// Deletes an element of this map that was found under the guard. Returns false if another CPU
    /// has claimed it: it was deleted or replaced, or its owner has died. Any context.
    ///
    /// Once this has returned, no lookup finds an element that this one has replaced.
    #[inline(always)]
    pub(crate) fn delete_elem(&self, elem: &Element, rcu: &Guard) -> bool {
        self.table.hide_older(&elem.node, rcu);
        if !elem.node.claim(Site::ElementClaim) {
            return false;
        }
        self.counters.this_cpu().deleted.add(1);
        // SAFETY: This call has claimed the element, and does not use it again.
        unsafe { unlink::retire(elem, rcu) };
        true
    }

    /// Counts an element that was allocated.
    pub(super) fn element_allocated(&self) {
        self.unfreed.add(1, Relaxed);
        let stats = self.runtime.stats.this_cpu();
        stats.allocated.add(1);
        stats.element_bytes.add(self.element_size() as u64);
    }

    /// Drops the value of an element.
    ///
    /// # Safety
    ///
    /// `value` must be the value of an element of this map that no reader can reach, and must not
    /// be used again.
    pub(super) unsafe fn drop_value(&self, value: NonNull<u8>) {
        fault::pause(Site::ValueDrop);
        if let Some(drop) = self.values.drop {
            // SAFETY: By the safety requirements this is a value of this map, and it is dropped
            // once. This is a kworker.
            unsafe { drop(value.as_ptr().cast()) };
        }
    }

    /// Returns whether values have a drop.
    pub(super) fn drops_values(&self) -> bool {
        self.values.drop.is_some()
    }

    /// The work that drops the values.
    pub(super) fn drops(&self) -> &Work<Drops> {
        &self.drops
    }

    /// Returns whether too much waits to be freed for anything to be created now. Any context.
    pub(super) fn is_full(&self) -> bool {
        let reaper = &self.runtime.reaper;
        reaper.is_full() || self.drops_values() && self.drops.waiting() >= reaper.limit()
    }

    /// Counts elements whose memory was freed. The map may be freed before this returns.
    ///
    /// # Safety
    ///
    /// `count` elements of this map must have been freed and not counted yet. The caller must not
    /// use the map again.
    pub(super) unsafe fn elements_freed(&self, count: usize) {
        let stats = self.runtime.stats.this_cpu();
        let bytes = count * self.element_size();
        stats.element_bytes.sub(bytes as u64);
        stats.freed.add(count as u64);
        // SAFETY: By the safety requirements these elements are in `unfreed`, and the caller does
        // not use the map again.
        unsafe { self.release(count) };
    }

    /// Announces the end of the map, which stores nothing from now on. After a grace period no
    /// operation under way has missed the announcement.
    ///
    /// A CPU that links an element without a reference to the map checks [`RawMap::is_ending`]
    /// after its push as well, which is fully ordered. If it does not see the announcement, the
    /// walk that follows finds its element.
    pub(crate) fn announce_end(&self) {
        fault::pause(Site::MapEnding);
        self.ending.store(true, Relaxed);
        barrier::smp_mb(Full);
    }

    /// Returns whether the end of the map was announced.
    pub(crate) fn is_ending(&self) -> bool {
        self.ending.load(Relaxed)
    }

    /// Subtracts `count` from `unfreed`. The map may be freed before this returns.
    ///
    /// # Safety
    ///
    /// `unfreed` must contain `count` on behalf of the caller, which no other CPU subtracts. The
    /// caller must not use the map again, unless it is the holder.
    unsafe fn release(&self, count: usize) {
        fault::pause(Site::MapRelease);
        // Full: all accesses to the elements come before the end of the map.
        if self.unfreed.fetch_sub(count, Full) != count {
            return;
        }
        if self.end.xchg(EMPTY, Full) == DETACHED {
            // SAFETY: The holder has detached the map and does not use it again. `unfreed` is 0, so
            // no element is left.
            unsafe { Self::free(NonNull::from(self)) };
        } else {
            self.gone.complete_all();
        }
    }

    /// Claims all elements, unless that was done before. Does not wait until they are freed.
    /// Process context; for the holder only.
    pub(crate) fn begin_end(&self) {
        if self.walked.xchg(true, Relaxed) {
            return;
        }
        self.announce_end();
        for bucket in 0..self.table.len() {
            let rcu = rcu::read_lock();
            for node in self.table.iter(bucket, &rcu) {
                if node.claim(Site::ElementClaim) {
                    self.counters.this_cpu().closed.add(1);
                    // SAFETY: By the type invariant the members of the table are the `node` fields
                    // of elements.
                    let elem = unsafe { Element::of_node(node) };
                    // SAFETY: This call has claimed the element, and does not use it again.
                    unsafe { unlink::retire(elem, &rcu) };
                }
            }
            drop(rcu);
            deferred::cond_resched();
        }
        // SAFETY: `unfreed` had one more than there were elements, for this call. The caller is the
        // holder.
        unsafe { self.release(1) };
    }

    /// Returns whether the end of the map has begun and no element is left.
    pub(crate) fn is_gone(&self) -> bool {
        self.end.load(Relaxed) == EMPTY
    }

    /// Waits until no element is left of a map whose end has begun. May sleep.
    pub(crate) fn wait_until_gone(&self) {
        self.gone.wait_for_completion();
    }

    /// Ends the map. Returns once the last value was dropped and the last byte was freed.
    ///
    /// May sleep. It waits for a grace period, and for the notices of death of owners that die at
    /// the same time and have elements of this map. It does not wait in the drop of a value, since
    /// it might wait for itself. If the values have no drop, it stops to wait in a task that is
    /// killed. In these two cases the CPU that frees the last element frees the map.
    ///
    /// # Safety
    ///
    /// `map` must come from [`RawMap::new`], and must not be used again.
    pub(super) unsafe fn end(map: NonNull<Self>) {
        // SAFETY: By the safety requirements the map is valid.
        let raw = unsafe { map.as_ref() };
        raw.begin_end();
        if raw.wait() || raw.end.cmpxchg(HELD, DETACHED, Full).is_err() {
            // The CPU that has set `end` to empty may still be about to complete `gone`, which is
            // in the map.
            raw.gone.wait_for_completion();
            // SAFETY: `end` is empty, so no element is left. By the safety requirements no other
            // CPU uses the map.
            unsafe { Self::free(map) };
        }
    }

    /// Waits until no element is left. Returns whether it has waited to the end.
    fn wait(&self) -> bool {
        if drops::in_drop() {
            return false;
        }
        if self.drops_values() {
            self.gone.wait_for_completion();
            return true;
        }
        self.gone.wait_unless_killed()
    }

    /// Frees the map.
    ///
    /// # Safety
    ///
    /// `map` must come from [`RawMap::new`], have no element, and must not be used again.
    unsafe fn free(map: NonNull<Self>) {
        // SAFETY: By the safety requirements the map comes from `new`, which pinned it and turned
        // it into a pointer.
        let map = unsafe { Pin::new_unchecked(KBox::from_raw(map.as_ptr())) };
        let runtime = map.runtime;
        runtime.stats.map_bytes.sub(map.own_bytes());
        drop(map);
        // The runtime may be freed once the decrement is seen, so all accesses to it come first.
        // Pairs with the barrier in `Runtime::is_empty`.
        barrier::smp_mb(Full);
        runtime.stats.maps.sub(1);
    }
}
