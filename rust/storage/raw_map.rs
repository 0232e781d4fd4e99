// SPDX-License-Identifier: GPL-2.0

//! A map whose values are memory of one size: what typed maps and maps of bytes have in common.

use super::{
    drops::{
        self,
        Drops, //
    },
    element::{
        Element,
        VALUE_SIZE_MAX, //
    },
    error::Refusal,
    owner::OwnerId,
    runtime::Runtime,
    stats::Counters,
    table::Table,
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
use core::ptr::NonNull;
use kernel::prelude::*;

/// The map.
///
/// # Invariants
///
/// - The members of `table` are nodes of elements of this map.
/// - `unfreed` is the number of elements that are allocated, and one more until
///   [`RawMap::begin_end`] has walked the table. Whoever brings it to 0 sets `end` to gone.
///
/// # End
///
/// | `end`   | meaning                                    | who changes it, and to what            |
/// |---------|--------------------------------------------|----------------------------------------|
/// | waited  | the map's owner is there                   | the owner, to left; the last, to gone  |
/// | left    | the owner did not wait                     | the last, to gone, and frees the map   |
/// | gone    | nothing is left but the map                | nobody; the owner frees the map        |
///
/// The last is who brings `unfreed` to 0. Each step is one full exchange.
#[pin_data]
pub(crate) struct RawMap {
    pub(super) table: Table,
    id: u64,
    value_size: usize,
    element_size: usize,
    values: Values,
    ending: Atomic<bool>,
    /// Whether the end has begun to walk the table; its owner's.
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

/// What a map does with its values, which it knows only as bytes.
///
/// # Safety
///
/// For who makes one: the functions must be sound to call on any thread for the values that are put
/// into the map, `drop` once for each, `clone` in any context.
#[derive(Copy, Clone, Default)]
pub(super) struct Values {
    /// Ends a value; called in a kworker.
    pub(super) drop: Option<unsafe fn(NonNull<u8>)>,
    /// What copies a value, in any context.
    pub(super) clone: Option<CloneValue>,
}

/// Writes a copy of the value at the first address to the second one; the number is its size.
pub(super) type CloneValue = unsafe fn(NonNull<u8>, NonNull<u8>, usize);

// SAFETY: The functions of `values` may run anywhere, which the makers of maps see to; all else is
// shared by atomic operations.
unsafe impl Sync for RawMap {}
// SAFETY: As above.
unsafe impl Send for RawMap {}

impl RawMap {
    /// A map of values of `value_size` bytes.
    ///
    /// It is to be ended by [`RawMap::end`]. Fails with `E2BIG` if such values could not be allocated
    /// in every context. May sleep.
    ///
    /// # Safety
    ///
    /// `values` must be as it says.
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
        // SAFETY: It is not moved out of where it is.
        let map = KBox::into_raw(unsafe { Pin::into_inner_unchecked(map) });
        NonNull::new(map).ok_or(ENOMEM)
    }

    /// The map's number: its turn among all maps.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Whether newborn owners get copies of their parents' values.
    pub(crate) fn clones(&self) -> bool {
        self.values.clone.is_some()
    }

    /// What copies a value, if newborn owners are to get copies.
    pub(super) fn clone_value(&self) -> Option<CloneValue> {
        self.values.clone
    }

    /// Bytes per value.
    pub(crate) fn value_size(&self) -> usize {
        self.value_size
    }

    /// Bytes per element.
    pub(crate) fn element_size(&self) -> usize {
        self.element_size
    }

    /// What an owner is charged for an element, in bytes.
    pub(super) fn charge(&self) -> u32 {
        self.element_size() as u32
    }

    /// Buckets.
    pub(crate) fn buckets(&self) -> usize {
        self.table.len()
    }

    /// What happened so far.
    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Elements that are allocated.
    pub(crate) fn unfreed(&self) -> usize {
        self.unfreed.load(Relaxed) - 1
    }

    /// Bytes of the map, its table and its counters.
    fn own_bytes(&self) -> u64 {
        let table = self.table.len() * Table::BUCKET_SIZE;
        (size_of::<Self>() + table + self.counters.bytes()) as u64
    }

    /// Bytes of the map, its table, its counters and all elements that are allocated.
    pub(crate) fn bytes(&self) -> u64 {
        self.own_bytes() + (self.unfreed() * self.element_size()) as u64
    }

    /// Whether the elements of two owners are in one bucket.
    pub(crate) fn share_bucket(&self, one: OwnerId, other: OwnerId) -> bool {
        self.table.share_bucket(one.addr(), other.addr())
    }

    /// The number for a new element.
    pub(super) fn new_seq(&self) -> u64 {
        self.next_seq.fetch_add(1, Relaxed)
    }

    /// Finds the owner's element. Any context; takes no lock.
    #[inline(always)]
    pub(crate) fn find<'a>(&'a self, id: OwnerId, rcu: &'a Guard) -> Option<&'a Element> {
        // SAFETY: A member of this table, by the type invariant.
        Some(unsafe { Element::of_node(self.table.find(id, rcu)?) })
    }

    /// As [`RawMap::find`], for a function that calls nothing.
    #[inline(always)]
    pub(super) fn find_in_leaf<'a>(&'a self, id: OwnerId, rcu: &'a Guard) -> Option<&'a Element> {
        // SAFETY: A member of this table, by the type invariant.
        Some(unsafe { Element::of_node(self.table.find_in_leaf(id, rcu)?) })
    }

    /// Deletes the owner's element and returns it: it can still be read under the guard.
    ///
    /// Any context. Never fails but with [`Refusal::Missing`]: of those who delete one element at
    /// once, one succeeds. Unlinking that meets a lock it cannot have is left to the reaper.
    pub(crate) fn delete<'a>(
        &'a self,
        id: OwnerId,
        rcu: &'a Guard,
    ) -> Result<&'a Element, Refusal> {
        trace::event(Event::Enter, id.addr());
        let mut seen = self.table.lookup(id, rcu);
        while let Some(node) = seen.found {
            // SAFETY: A member of this table, by the type invariant.
            let elem = unsafe { Element::of_node(node) };
            if self.delete_elem(elem, rcu) {
                return Ok(elem);
            }
            // It was deleted, or replaced by another one.
            seen = self.table.relookup(seen, id, rcu);
        }
        Err(Refusal::Missing)
    }

    /// Deletes an element of this map that was found under the guard, and returns whether this call
    /// did it: false if the element was deleted or replaced, or its owner died. Any context.
    ///
    /// When it is over, nothing that the element has replaced is found.
    pub(crate) fn delete_elem(&self, elem: &Element, rcu: &Guard) -> bool {
        self.table.hide_older(&elem.node, rcu);
        if !elem.node.claim(Site::ElementClaim) {
            return false;
        }
        self.counters.this_cpu().deleted.add(1);
        // SAFETY: Claimed above.
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

    /// Drops the value of an element that nobody can reach any more.
    ///
    /// # Safety
    ///
    /// `value` must be the value of an element of this map, and not be used again.
    pub(super) unsafe fn drop_value(&self, value: NonNull<u8>) {
        fault::pause(Site::ValueDrop);
        if let Some(drop) = self.values.drop {
            // SAFETY: By the contracts of this function and of `Values`.
            unsafe { drop(value) };
        }
    }

    /// Whether values have a drop.
    pub(super) fn drops_values(&self) -> bool {
        self.values.drop.is_some()
    }

    /// What drops them.
    pub(super) fn drops(&self) -> &Work<Drops> {
        &self.drops
    }

    /// Whether nothing may be created now, since too much waits to be freed. Any context.
    pub(super) fn is_full(&self) -> bool {
        let reaper = &self.runtime.reaper;
        reaper.is_full() || self.drops_values() && self.drops.waiting() >= reaper.limit()
    }

    /// Counts elements whose memory is free. The map may be gone after this.
    ///
    /// # Safety
    ///
    /// `count` elements of this map must have been freed, and not counted yet; nothing of the map is
    /// used any more.
    pub(super) unsafe fn elements_freed(&self, count: usize) {
        let stats = self.runtime.stats.this_cpu();
        let bytes = count * self.element_size();
        stats.element_bytes.sub(bytes as u64);
        stats.freed.add(count as u64);
        // SAFETY: By the contract, they were counted.
        unsafe { self.release(count) };
    }

    /// Announces the end to those who link elements without a reference to the map. Whoever does
    /// not see this yet after a push, which is fully ordered, is seen by the walk that follows.
    pub(crate) fn announce_end(&self) {
        fault::pause(Site::MapEnding);
        self.ending.store(true, Relaxed);
        barrier::smp_mb(Full);
    }

    /// Whether the end has begun. To be asked after a push.
    pub(super) fn is_ending(&self) -> bool {
        self.ending.load(Relaxed)
    }

    /// Takes `count` off `unfreed`. The map may be gone after this.
    ///
    /// # Safety
    ///
    /// So much must be on it that nobody else takes off, and the caller not use the map again unless
    /// it owns it.
    unsafe fn release(&self, count: usize) {
        fault::pause(Site::MapRelease);
        // Full: all that was done to the elements comes before the end of the map.
        if self.unfreed.fetch_sub(count, Full) != count {
            return;
        }
        if self.end.xchg(EMPTY, Full) == DETACHED {
            // SAFETY: The owner has left the map to who comes here, and no element is left.
            unsafe { Self::free(NonNull::from(self)) };
        } else {
            self.gone.complete_all();
        }
    }

    /// Ends all elements, unless that is done, and does not wait until they are freed. Process
    /// context, by who owns the map.
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
                    // SAFETY: A member of this table, by the type invariant.
                    let elem = unsafe { Element::of_node(node) };
                    // SAFETY: Claimed above.
                    unsafe { unlink::retire(elem, &rcu) };
                }
            }
            drop(rcu);
            deferred::cond_resched();
        }
        // SAFETY: The one that is there from the beginning; the caller owns the map.
        unsafe { self.release(1) };
    }

    /// Ends the map: returns when the last value is dropped and the last byte free.
    ///
    /// May sleep: it waits for a grace period, and for owners that die at the same time to be done
    /// with the map's elements. In the drop of a value it does not wait, since it might wait for
    /// itself; nor does it go on waiting in a task that is killed, if the values have no drop. Then
    /// who frees the last element frees the map.
    ///
    /// # Safety
    ///
    /// `map` must be from [`RawMap::new`], and not be used again.
    pub(super) unsafe fn end(map: NonNull<Self>) {
        // SAFETY: Valid by the contract.
        let raw = unsafe { map.as_ref() };
        raw.begin_end();
        if raw.wait() || raw.end.cmpxchg(HELD, DETACHED, Full).is_err() {
            // Who has completed it may still be about to.
            raw.gone.wait_for_completion();
            // SAFETY: No element is left, and nobody but the caller knows the map.
            unsafe { Self::free(map) };
        }
    }

    /// Waits until nothing is left; false if it did not.
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

    /// # Safety
    ///
    /// `map` must be from [`RawMap::new`], without elements, and not be used again.
    unsafe fn free(map: NonNull<Self>) {
        // SAFETY: By the contract.
        let map = unsafe { Pin::new_unchecked(KBox::from_raw(map.as_ptr())) };
        let runtime = map.runtime;
        runtime.stats.map_bytes.sub(map.own_bytes());
        drop(map);
        // The runtime may be gone as soon as the count is seen to fall: all use of it comes before.
        // Pairs with the barrier in `Runtime::is_empty`.
        barrier::smp_mb(Full);
        runtime.stats.maps.sub(1);
    }
}
