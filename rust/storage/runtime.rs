// SPDX-License-Identifier: GPL-2.0

//! What all maps share: the owner index, the reaper, the statistics.

#[cfg(OSTOR_TEST)]
use super::drops;
use super::{
    element::Element,
    lock_mode::TryLock,
    owner::{
        OwnerId,
        OwnerOps, //
    },
    pending::Watermarks,
    reaper::{
        Batch,
        Reaper, //
    },
    stats::Stats,
    store::Storage,
    table::Table,
    unlink, //
};
use crate::sync::{
    compat::barrier,
    deferred,
    fault::Site,
    rcu::{
        self,
        Guard, //
    },
    Atomic,
    Full,
    Relaxed, //
};
use core::ptr::{
    self,
    NonNull, //
};
use kernel::prelude::*;

/// How large the tables are: numbers of buckets, as powers of two. The module's parameters have
/// been checked to be from 4 to 20.
#[derive(Copy, Clone)]
pub(crate) struct Sizes {
    /// Of each map.
    pub(crate) map_bits: u32,
    /// Of the owner index.
    pub(crate) index_bits: u32,
}

/// The shared state.
pub(crate) struct Runtime {
    // Dropped first: its works use the rest.
    pub(super) reaper: Reaper,
    /// The storages, by owner.
    pub(super) index: Table,
    pub(super) sizes: Sizes,
    next_map: Atomic<u64>,
    /// What happened so far.
    pub(crate) stats: Stats,
}

/// The running [`Runtime`], or null. Set by [`Running::start`], cleared by its drop.
static RUNTIME: Atomic<*mut Runtime> = Atomic::new(ptr::null_mut());

impl Stats {
    /// Bytes of all that is allocated.
    pub(crate) fn bytes(&self) -> u64 {
        self.map_bytes.get()
            + self.sum(|here| &here.element_bytes)
            + self.sum(|here| &here.storages) * size_of::<Storage>() as u64
    }
}

impl Runtime {
    /// The runtime, while a [`Running`] exists.
    pub(crate) fn get() -> Option<&'static Runtime> {
        // SAFETY: `Running` keeps what it has published until no map is left, no hook is attached
        // and no work runs: nobody who calls this outlives it.
        unsafe { RUNTIME.load(Relaxed).as_ref() }
    }

    /// Finds the owner's live storage.
    pub(super) fn find_storage<'a>(&self, id: OwnerId, rcu: &'a Guard) -> Option<&'a Storage> {
        // SAFETY: The members of the index are nodes of storages.
        Some(unsafe { Storage::of_node(self.index.find(id, rcu)?) })
    }

    /// Finds a live storage of an owner at this address.
    pub(super) fn find_storage_at<'a>(&self, addr: usize, rcu: &'a Guard) -> Option<&'a Storage> {
        // SAFETY: The members of the index are nodes of storages.
        Some(unsafe { Storage::of_node(self.index.find_at(addr, rcu)?) })
    }

    /// The number for a new map.
    pub(super) fn new_map_id(&self) -> u64 {
        self.next_map.fetch_add(1, Relaxed)
    }

    /// The owner dies: ends all its elements. Returns whether it had a storage.
    ///
    /// Whatever else is known at the address is stale and ends as well.
    ///
    /// Any context; takes a lock only if nobody holds it. When it returns, nothing of the owner can
    /// be found any more, and its memory is not touched again. It waits for nobody, but for other
    /// CPUs that are giving charges back to this owner at that moment, a few instructions with
    /// interrupts off.
    ///
    /// # Safety
    ///
    /// Called by the notice of death of the owner `id`.
    #[inline(always)]
    pub(crate) unsafe fn owner_died(&self, id: OwnerId) -> bool {
        // SAFETY: By the contract.
        unsafe { self.owner_died_as(id, id) }
    }

    /// As [`Runtime::owner_died`] of an owner that may still be known as `other`, which has the same
    /// address.
    ///
    /// # Safety
    ///
    /// As [`Runtime::owner_died`]; `other` must have been the owner's for all its life.
    #[inline(always)]
    pub(crate) unsafe fn owner_died_as(&self, id: OwnerId, other: OwnerId) -> bool {
        #[cfg(OSTOR_TEST)]
        drops::note_end_of_owner(id.addr());
        if self.index.is_bucket_empty(id.addr()) {
            // Most owners have no storage.
            return false;
        }
        // SAFETY: By the contract.
        unsafe { self.end_owner(id, other) }
    }

    /// As [`Runtime::owner_died_as`].
    ///
    /// # Safety
    ///
    /// Likewise.
    unsafe fn end_owner(&self, id: OwnerId, other: OwnerId) -> bool {
        let rcu = rcu::read_lock();
        let mut had_storage = false;
        while let Some(storage) = self.find_storage_at(id.addr(), &rcu) {
            let known = storage.node.id();
            if known == id || known == other {
                had_storage = true;
                self.stats.this_cpu().owner_deaths.add(1);
                // SAFETY: By the contract.
                unsafe { storage.charge.end(id, storage.ops, &self.stats) };
                self.end_all(storage, &rcu);
            } else {
                self.end_stale(storage, &rcu);
            }
        }
        had_storage
    }

    /// Gives back what the owner is charged, as [`Runtime::owner_died`] does, and nothing else: for
    /// tests in which the notice is lost, but memory stays safe.
    ///
    /// # Safety
    ///
    /// As [`Runtime::owner_died`].
    #[cfg(OSTOR_TEST)]
    pub(crate) unsafe fn owner_lost(&self, id: OwnerId) {
        let rcu = rcu::read_lock();
        if let Some(storage) = self.find_storage(id, &rcu) {
            // SAFETY: By the contract.
            unsafe { storage.charge.end(id, storage.ops, &self.stats) };
        }
    }

    /// The owner is gone and no notice said so: ends what it left behind, and does not touch it. Any
    /// context; takes a lock only if no CPU holds it.
    pub(crate) fn owner_gone(&self, id: OwnerId) {
        let rcu = rcu::read_lock();
        if let Some(storage) = self.find_storage(id, &rcu) {
            self.end_stale(storage, &rcu);
        }
    }

    /// The identity of an owner that has a storage, by its address and kind. Any context; takes no
    /// lock.
    pub(crate) fn owner_at(&self, addr: usize, ops: &OwnerOps) -> Option<OwnerId> {
        let rcu = rcu::read_lock();
        Some(self.index.find_of_kind(addr, ops, &rcu)?.id())
    }

    /// Ends what another owner has left. Any context; takes a lock only if no CPU holds it.
    #[cold]
    pub(super) fn end_stale(&self, storage: &Storage, rcu: &Guard) {
        self.stats.this_cpu().stale.add(1);
        storage.charge.abandon(&self.stats);
        self.end_all(storage, rcu);
    }

    /// The owner `from`, which nobody knows yet, is to be found as `to` from now on. Both are at
    /// the same address. Any context; takes no lock.
    pub(crate) fn rename(&self, from: OwnerId, to: OwnerId) {
        if self.index.is_bucket_empty(from.addr()) {
            return;
        }
        let rcu = rcu::read_lock();
        let Some(storage) = self.find_storage(from, &rcu) else {
            return;
        };
        for elem in storage.iter(&rcu) {
            elem.node.rename(to);
        }
        storage.node.rename(to);
    }

    /// Whether the owner has a storage. Any context; takes no lock.
    pub(crate) fn has_storage(&self, id: OwnerId) -> bool {
        self.find_storage(id, &rcu::read_lock()).is_some()
    }

    /// Of the owner's elements in all maps, the one in the map with the lowest number above
    /// `after`. Any context; takes no lock.
    pub(crate) fn next_of<'a>(
        &self,
        id: OwnerId,
        after: u64,
        rcu: &'a Guard,
    ) -> Option<&'a Element> {
        self.find_storage(id, rcu)?.next(after, rcu)
    }

    /// Ends a storage and all its elements, whose charge has ended. The notice has begun: nobody
    /// links anything any more.
    fn end_all(&self, storage: &Storage, rcu: &Guard) {
        storage.node.claim(Site::StorageClaim);
        let mut dead = Batch::new();
        let mut is_alone = true;
        for elem in storage.iter(rcu) {
            if !elem.node.claim(Site::ElementClaim) {
                is_alone = false;
                continue;
            }
            elem.map().counters().this_cpu().owner_deaths.add(1);
            // SAFETY: Claimed above.
            unsafe { unlink::unlink_from_table::<TryLock>(elem, rcu) };
            // SAFETY: Likewise.
            unsafe { dead.add(&elem.reap_node, elem.map().element_size()) };
        }
        if dead.is_empty() {
            // Whoever takes the last element off the list retires the storage.
            return;
        }
        if is_alone {
            // Nobody else has an element on the list, and ours stay there. So nobody makes it empty,
            // and it goes as a whole.
            for elem in storage.iter(rcu) {
                elem.reap_node.left_storage();
                unlink::count_deferral(elem);
            }
            // SAFETY: Ours, as said.
            unsafe { unlink::unlink_or_defer_storage::<TryLock>(self, storage, rcu) };
            // SAFETY: Likewise.
            unsafe { dead.add(&storage.reap_node, size_of::<Storage>()) };
        } else {
            // SAFETY: They are claimed, and in elements.
            unsafe { unlink::unlink_all_from_storage::<TryLock>(&dead, rcu) };
        }
        // SAFETY: All of it is ours.
        unsafe { self.reaper.take_all(dead) };
    }

    /// Waits until what has died so far is freed, if no lock fails. May sleep, but not in the drop
    /// of a value.
    pub(crate) fn flush(&self) {
        self.reaper.flush();
    }

    /// From how many bytes on that wait nothing is created.
    #[cfg(OSTOR_TEST)]
    pub(crate) fn pending_limit(&self) -> u64 {
        self.reaper.limit()
    }

    /// Objects and bytes that are dead and wait to be freed, but for values that wait for the drops
    /// of their map.
    pub(crate) fn pending(&self) -> (u64, u64) {
        self.reaper.pending()
    }

    /// Whether there is no map, element or storage any more. The CPU that counted the last map down
    /// is done with the runtime.
    fn is_empty(&self) -> bool {
        if self.stats.maps.get() != 0 {
            return false;
        }
        // Pairs with the barrier in `RawMap::free`. A map goes after its elements. What was counted
        // before that is seen here, all that counts storages up among it. What is missing of the sum
        // is counted down, so it is 0 no earlier than there is no storage.
        barrier::smp_mb(Full);
        self.stats.sum(|here| &here.storages) == 0
    }
}

/// The runtime's life. Dropping it waits until all maps have ended and everything is freed: the
/// hooks must be detached. May sleep.
pub(crate) struct Running(KBox<Runtime>);

impl Running {
    /// Starts the runtime, once at a time.
    pub(crate) fn start(sizes: Sizes, watermarks: Watermarks) -> Result<Self> {
        let mut memory = KBox::<Runtime>::new_uninit(GFP_KERNEL)?;
        let runtime = NonNull::from(&mut *memory).cast();
        let runtime = memory.write(Runtime {
            index: Table::new(sizes.index_bits)?,
            // SAFETY: That is where the runtime is written, before anything can be handed over.
            reaper: unsafe { Reaper::new(runtime, watermarks) }?,
            sizes,
            next_map: Atomic::new(1),
            stats: Stats::new()?,
        });
        RUNTIME.store(ptr::from_ref(&*runtime).cast_mut(), Relaxed);
        Ok(Self(runtime))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut rounds = 0u32;
        while !self.0.is_empty() {
            self.0.flush();
            rounds += 1;
            if rounds == 100 {
                pr_warn!("unloading waits for maps, or for elements whose locks are still held\n");
            }
            deferred::sleep_10ms();
        }
        RUNTIME.store(ptr::null_mut(), Relaxed);
        // Who freed the last map may have been preempted before it has left this module's code.
        deferred::synchronize_rcu_tasks();
    }
}
