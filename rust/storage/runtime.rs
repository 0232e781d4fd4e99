// SPDX-License-Identifier: GPL-2.0

//! What all maps share: the owner index, the reaper and the statistics.

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

/// The number of buckets of the tables, as a power of two. The code that reads the module
/// parameters has checked that they are 4 to 20.
#[derive(Copy, Clone)]
pub(crate) struct Sizes {
    /// For each map.
    pub(crate) map_bits: u32,
    /// For the owner index.
    pub(crate) index_bits: u32,
}

/// The state that all maps share.
///
/// # Invariants
///
/// - The members of `index` are the `node` fields of storages.
/// - `reaper` is a part of this runtime, and dropped before the rest of it.
/// - `next_map` only grows.
pub(crate) struct Runtime {
    // The first field, so it is dropped first: its work uses the other fields.
    pub(super) reaper: Reaper,
    /// The storages, by owner.
    pub(super) index: Table,
    pub(super) sizes: Sizes,
    next_map: Atomic<u64>,
    /// What happened in the module.
    pub(crate) stats: Stats,
}

/// The running [`Runtime`], or null.
///
/// | value   | changed by, and to                                                             |
/// |---------|--------------------------------------------------------------------------------|
/// | null    | [`Running::start`], to the runtime that it made; one at a time                 |
/// | runtime | the drop of [`Running`], to null, when no map, element or storage is left      |
static RUNTIME: Atomic<*mut Runtime> = Atomic::new(ptr::null_mut());

impl Stats {
    /// The size in bytes of all that is allocated.
    pub(crate) fn bytes(&self) -> u64 {
        self.map_bytes.get()
            + self.sum(|here| &here.element_bytes)
            + self.sum(|here| &here.storages) * size_of::<Storage>() as u64
    }
}

impl Runtime {
    /// The runtime, while a [`Running`] exists.
    pub(crate) fn get() -> Option<&'static Runtime> {
        // SAFETY: Callers are maps, hooks and the device. `Running` is dropped after all of these,
        // and its drop frees the runtime.
        unsafe { RUNTIME.load(Relaxed).as_ref() }
    }

    /// Finds the live storage of the owner.
    pub(super) fn find_storage<'a>(&self, id: OwnerId, rcu: &'a Guard) -> Option<&'a Storage> {
        // SAFETY: By the type invariant the members of the index are the `node` fields of storages.
        Some(unsafe { Storage::of_node(self.index.find(id, rcu)?) })
    }

    /// Finds a live storage of any owner at this address.
    pub(super) fn find_storage_at<'a>(&self, addr: usize, rcu: &'a Guard) -> Option<&'a Storage> {
        // SAFETY: As above.
        Some(unsafe { Storage::of_node(self.index.find_at(addr, rcu)?) })
    }

    /// The number for a new map.
    pub(super) fn new_map_id(&self) -> u64 {
        self.next_map.fetch_add(1, Relaxed)
    }

    /// Ends all elements of an owner that dies. Returns whether the owner had a storage.
    ///
    /// Elements of any other owner at this address are stale. They are ended as well.
    ///
    /// Any context. Takes a lock only if no CPU holds it. Once this has returned, no lookup finds
    /// an element of the owner, and no CPU accesses the owner's memory. It waits only for CPUs that
    /// are giving a charge back to this owner: a few instructions with interrupts off.
    ///
    /// # Safety
    ///
    /// To be called by the notice of death of the owner `id` only.
    #[inline(always)]
    pub(crate) unsafe fn owner_died(&self, id: OwnerId) -> bool {
        // SAFETY: The safety requirements are those of this function, and `id` is the owner's.
        unsafe { self.owner_died_as(id, id) }
    }

    /// As [`Runtime::owner_died`], for an owner whose elements may be stored under the identity
    /// `other`, which has the same address.
    ///
    /// # Safety
    ///
    /// As for [`Runtime::owner_died`]. `other` must have been an identity of this owner, and of no
    /// other, for its whole life.
    #[inline(always)]
    pub(crate) unsafe fn owner_died_as(&self, id: OwnerId, other: OwnerId) -> bool {
        #[cfg(OSTOR_TEST)]
        drops::note_last_put(id.addr());
        if self.index.is_bucket_empty(id.addr()) {
            // Most owners have no storage.
            return false;
        }
        // SAFETY: The safety requirements are those of this function.
        unsafe { self.end_owner(id, other) }
    }

    /// As [`Runtime::owner_died_as`], out of line.
    ///
    /// # Safety
    ///
    /// As for [`Runtime::owner_died_as`].
    unsafe fn end_owner(&self, id: OwnerId, other: OwnerId) -> bool {
        let rcu = rcu::read_lock();
        let mut had_storage = false;
        while let Some(storage) = self.find_storage_at(id.addr(), &rcu) {
            let known = storage.node.id();
            if known == id || known == other {
                had_storage = true;
                self.stats.this_cpu().owner_deaths.add(1);
                // SAFETY: By the safety requirements the caller is the notice of death of the
                // owner.
                unsafe { storage.charge.end(id, storage.ops, &self.stats) };
                self.end_all(storage, &rcu);
            } else {
                self.end_stale(storage, &rcu);
            }
        }
        had_storage
    }

    /// Gives back what the owner is charged, as [`Runtime::owner_died`] does, and leaves its
    /// elements. For tests in which the notice of death is lost: no CPU accesses the owner's memory
    /// any more.
    ///
    /// # Safety
    ///
    /// As for [`Runtime::owner_died`].
    #[cfg(OSTOR_TEST)]
    pub(crate) unsafe fn owner_lost(&self, id: OwnerId) {
        let rcu = rcu::read_lock();
        if let Some(storage) = self.find_storage(id, &rcu) {
            // SAFETY: By the safety requirements the caller is the notice of death of the owner.
            unsafe { storage.charge.end(id, storage.ops, &self.stats) };
        }
    }

    /// Ends the elements of an owner whose memory was freed without a notice of death. Does not
    /// access the owner. Any context. Takes a lock only if no CPU holds it.
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

    /// Ends the elements of an earlier owner at the same address. Any context. Takes a lock only if
    /// no CPU holds it.
    #[cold]
    pub(super) fn end_stale(&self, storage: &Storage, rcu: &Guard) {
        self.stats.this_cpu().stale.add(1);
        storage.charge.abandon(&self.stats);
        self.end_all(storage, rcu);
    }

    /// Changes the identity under which the elements of an owner are found, from `from` to `to`.
    /// Both have the same address, and no other CPU may use either of them yet. Any context; takes
    /// no lock.
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

    /// Returns whether the owner has a storage. Any context; takes no lock.
    pub(crate) fn has_storage(&self, id: OwnerId) -> bool {
        self.find_storage(id, &rcu::read_lock()).is_some()
    }

    /// The element of the owner in the map with the lowest number above `after`. Any context; takes
    /// no lock.
    pub(crate) fn next_of<'a>(
        &self,
        id: OwnerId,
        after: u64,
        rcu: &'a Guard,
    ) -> Option<&'a Element> {
        self.find_storage(id, rcu)?.next(after, rcu)
    }

    /// Claims a storage and all its elements, and retires what it has claimed. The charge has
    /// ended. The notice of death has begun, so no other CPU links an element any more.
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
            // SAFETY: This call has claimed the element.
            unsafe { unlink::unlink_from_table::<TryLock>(elem, rcu) };
            // SAFETY: As above, and does not use its link again.
            unsafe { dead.add(&elem.reap_node, elem.map().element_size()) };
        }
        if dead.is_empty() {
            // The CPU that removes the last element from the list retires the storage.
            return;
        }
        if is_alone {
            // This call has claimed every element on the list, and the elements stay on the list.
            // So no other CPU empties it, and the storage is retired with its elements.
            for elem in storage.iter(rcu) {
                elem.reap_node.left_storage();
                unlink::count_deferral(elem);
            }
            // SAFETY: This call has claimed the storage and all its elements, so it owns the
            // storage.
            unsafe { unlink::unlink_or_defer_storage::<TryLock>(self, storage, rcu) };
            // SAFETY: As above, and does not use its link again.
            unsafe { dead.add(&storage.reap_node, size_of::<Storage>()) };
        } else {
            // SAFETY: This call has claimed all objects of the batch, and all of them are elements.
            unsafe { unlink::unlink_all_from_storage::<TryLock>(&dead, rcu) };
        }
        // SAFETY: This call owns all objects of the batch. It does not use them again.
        unsafe { self.reaper.take_all(dead) };
    }

    /// Waits until everything that has died so far was freed, if no lock fails. May sleep, but must
    /// not be called in the drop of a value.
    pub(crate) fn flush(&self) {
        self.reaper.flush();
    }

    /// The number of waiting bytes from which on nothing is created.
    #[cfg(OSTOR_TEST)]
    pub(crate) fn pending_limit(&self) -> u64 {
        self.reaper.limit()
    }

    /// The number and the size in bytes of the objects that are dead and wait to be freed, without
    /// those that wait for the drops of their map.
    pub(crate) fn pending(&self) -> (u64, u64) {
        self.reaper.pending()
    }

    /// Returns whether no map, element and storage is left. If so, the CPU that has counted down
    /// the last map does not access the runtime any more.
    fn is_empty(&self) -> bool {
        if self.stats.maps.get() != 0 {
            return false;
        }
        // Pairs with the barrier in `RawMap::free`. A map is freed after its elements. So all that
        // was counted before is seen here, in particular each storage that was counted up. What may
        // be missing from the sum is storages that were counted down, so the sum is not 0 before
        // the last storage is freed.
        barrier::smp_mb(Full);
        self.stats.sum(|here| &here.storages) == 0
    }
}

/// Keeps the runtime. Its drop waits until all maps have ended and everything is freed. The hooks
/// must be detached before. May sleep.
pub(crate) struct Running(KBox<Runtime>);

impl Running {
    /// Starts the runtime. Only one may run at a time.
    pub(crate) fn start(sizes: Sizes, watermarks: Watermarks) -> Result<Self> {
        let mut memory = KBox::<Runtime>::new_uninit(GFP_KERNEL)?;
        let runtime = NonNull::from(&mut *memory).cast();
        let runtime = memory.write(Runtime {
            index: Table::new(sizes.index_bits)?,
            // SAFETY: The runtime is written to `runtime` before anything is handed over. It drops
            // its reaper first.
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
        // The CPU that has freed the last map may have been preempted in this module's code.
        deferred::synchronize_rcu_tasks();
    }
}
