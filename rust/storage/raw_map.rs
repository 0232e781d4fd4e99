// SPDX-License-Identifier: GPL-2.0

//! A map whose values are memory of one size: what typed maps and maps of bytes have in common.

use super::{
    element::{
        Element,
        VALUE_SIZE_MAX, //
    },
    error::Refusal,
    owner::OwnerId,
    runtime::Runtime,
    table::Table,
    unlink, //
};
use crate::sync::{
    counter::Counter,
    deferred,
    fault::{
        self,
        Point, //
    },
    rcu::{
        self,
        Guard, //
    },
    res_lock::LockError,
    trace::{
        self,
        Event, //
    },
    Atomic, Completion, Full, Relaxed,
};
use core::ptr::NonNull;
use kernel::{
    prelude::*,
    sync::barrier, //
};

/// What happened in a map.
#[derive(Default)]
pub(crate) struct Counters {
    /// Live elements.
    pub(crate) elements: Counter,
    /// Elements ever linked.
    pub(crate) created: Counter,
    /// Elements ended by a delete.
    pub(crate) deleted: Counter,
    /// Elements ended by an update.
    pub(crate) replaced: Counter,
    /// Elements ended by their owner's death.
    pub(crate) owner_deaths: Counter,
    /// Operations refused with [`LockError::Deadlock`].
    pub(crate) deadlocks: Counter,
    /// Operations refused with [`LockError::Timeout`].
    pub(crate) timeouts: Counter,
    /// Operations refused with [`Refusal::NoMemory`].
    pub(crate) nomem: Counter,
    /// Elements handed to the reaper still linked.
    pub(crate) deferred: Counter,
    /// Copies made for newborn owners.
    pub(crate) clones: Counter,
    /// Copies that could not be made.
    pub(crate) clone_failures: Counter,
}

impl Counters {
    /// Counts a refusal that its user may want to know of, and passes it on.
    pub(super) fn refused(&self, refusal: Refusal) -> Refusal {
        match refusal {
            Refusal::Lock(LockError::Deadlock) => self.deadlocks.add(1),
            Refusal::Lock(LockError::Timeout) => self.timeouts.add(1),
            Refusal::NoMemory => self.nomem.add(1),
            Refusal::Exists | Refusal::Missing | Refusal::OwnerDead | Refusal::Unsupported => {}
        }
        refusal
    }

    /// Counts an element that the caller has claimed; `why` is one of the counters above.
    pub(super) fn ended(&self, why: &Counter) {
        self.elements.sub(1);
        why.add(1);
    }
}

/// The map.
///
/// # Invariants
///
/// - The members of `table` are nodes of elements of this map.
/// - `unfreed` is the number of elements that are allocated, and one more until
///   [`RawMap::end`] begins. Whoever brings it to 0 completes `gone`.
#[pin_data]
pub(crate) struct RawMap {
    pub(super) table: Table,
    id: u64,
    value_size: usize,
    values: Values,
    ending: Atomic<bool>,
    pub(super) runtime: &'static Runtime,
    next_seq: Atomic<u64>,
    counters: Counters,
    unfreed: Atomic<usize>,
    #[pin]
    gone: Completion,
}

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
    /// Fails with `E2BIG` if such values could not be allocated in every context. May sleep.
    ///
    /// # Safety
    ///
    /// `values` must be as it says.
    pub(super) unsafe fn new(value_size: usize, values: Values) -> Result<Pin<KBox<Self>>> {
        if value_size > VALUE_SIZE_MAX {
            return Err(E2BIG);
        }
        let runtime = Runtime::get().ok_or(ENODEV)?;
        let table = Table::new(runtime.sizes.map_bits)?;
        if fault::alloc(Point::MapAlloc) {
            return Err(ENOMEM);
        }
        let map = KBox::pin_init(
            pin_init!(Self {
                table,
                id: runtime.new_map_id(),
                value_size,
                values,
                ending: Atomic::new(false),
                runtime,
                next_seq: Atomic::new(1),
                counters: Counters::default(),
                unfreed: Atomic::new(1),
                gone <- Completion::new(),
            }),
            GFP_KERNEL,
        )?;
        runtime.stats.maps.add(1);
        runtime.stats.map_bytes.add(map.own_bytes());
        Ok(map)
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
        Element::size(self.value_size)
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

    /// Bytes of the map and its table.
    fn own_bytes(&self) -> u64 {
        (size_of::<Self>() + self.table.len() * Table::BUCKET_SIZE) as u64
    }

    /// Bytes of the map, its table and all elements that are allocated.
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
        let elem = self.find(id, rcu).ok_or(Refusal::Missing)?;
        if self.delete_elem(elem, rcu) {
            Ok(elem)
        } else {
            Err(Refusal::Missing)
        }
    }

    /// Deletes an element of this map that was found under the guard, and returns whether this call
    /// did it: false if the element was deleted or replaced, or its owner died. Any context.
    pub(crate) fn delete_elem(&self, elem: &Element, rcu: &Guard) -> bool {
        if !elem.node.claim(Point::ElementClaim) {
            return false;
        }
        self.counters.ended(&self.counters.deleted);
        // SAFETY: Claimed above.
        unsafe { unlink::bury(elem, rcu) };
        true
    }

    /// Counts an element that was allocated.
    pub(super) fn element_allocated(&self) {
        self.unfreed.add(1, Relaxed);
        self.runtime.stats.allocated.add(1);
        let bytes = self.element_size() as u64;
        self.runtime.stats.element_bytes.add(bytes);
    }

    /// Drops the value of an element that nobody can reach any more.
    ///
    /// # Safety
    ///
    /// `value` must be the value of an element of this map, and not be used again.
    pub(super) unsafe fn drop_value(&self, value: NonNull<u8>) {
        fault::pause(Point::ValueDrop);
        if let Some(drop) = self.values.drop {
            // SAFETY: By the contracts of this function and of `Values`.
            unsafe { drop(value) };
        }
        self.runtime.stats.dropped.add(1);
    }

    /// Counts an element whose memory is free. The map may be gone after this.
    pub(super) fn element_freed(&self) {
        let bytes = self.element_size() as u64;
        self.runtime.stats.element_bytes.sub(bytes);
        self.runtime.stats.freed.add(1);
        self.release();
    }

    /// Announces the end to those who link elements without a reference to the map. Whoever does
    /// not see this yet after a push, which is fully ordered, is seen by the walk that follows.
    pub(crate) fn begin_end(&self) {
        fault::pause(Point::MapEnding);
        self.ending.store(true, Relaxed);
        barrier::smp_mb(Full);
    }

    /// Whether [`RawMap::end`] has begun. To be asked after a push.
    pub(super) fn is_ending(&self) -> bool {
        self.ending.load(Relaxed)
    }

    fn release(&self) {
        fault::pause(Point::MapRelease);
        // Full: all that was done to the elements comes before the end of the map.
        if self.unfreed.fetch_sub(1, Full) == 1 {
            self.gone.complete_all();
        }
    }

    /// Ends all elements and returns when the last value is dropped and the last byte free.
    ///
    /// Called once, by the drop of who owns the map. May sleep: it waits for a grace period, and
    /// for owners that die at the same time to be done with the map's elements.
    pub(super) fn end(&self) {
        self.begin_end();
        for bucket in 0..self.table.len() {
            let rcu = rcu::read_lock();
            for node in self.table.iter(bucket, &rcu) {
                if node.claim(Point::ElementClaim) {
                    self.counters.elements.sub(1);
                    // SAFETY: A member of this table, by the type invariant.
                    let elem = unsafe { Element::of_node(node) };
                    // SAFETY: Claimed above.
                    unsafe { unlink::bury(elem, &rcu) };
                }
            }
            drop(rcu);
            deferred::cond_resched();
        }
        self.release();
        self.gone.wait_for_completion();
        self.runtime.stats.map_bytes.sub(self.own_bytes());
        // The runtime may be gone as soon as the count is seen to fall: all use of it comes before.
        // Pairs with the barrier in `Runtime::is_empty`.
        barrier::smp_mb(Full);
        self.runtime.stats.maps.sub(1);
    }
}
