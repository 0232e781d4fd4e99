// SPDX-License-Identifier: GPL-2.0

//! What is counted, for each map and for the whole module.
//!
//! Counters that operations on different owners write are per-CPU shares. The others count events
//! that are rare, or that have taken a lock or a system call already. All operations on a counter
//! are relaxed and single: none decides what happens to an object, except where its user documents
//! it.

use super::error::Refusal;
use crate::sync::{
    counter::Counter,
    per_cpu::{
        LocalCounter,
        PerCpuCounters, //
    },
    res_lock::LockError, //
};
use kernel::prelude::*;

/// Counts what happened in one map.
pub(crate) struct Counters {
    shares: PerCpuCounters<MapShares>,
    /// Operations refused with [`LockError::Deadlock`].
    pub(crate) deadlocks: Counter,
    /// Operations refused with [`LockError::Timeout`].
    pub(crate) timeouts: Counter,
    /// Operations refused with [`Refusal::NoMemory`].
    pub(crate) nomem: Counter,
}

/// The share of one CPU: a cache line.
#[derive(Default)]
pub(crate) struct MapShares {
    /// Elements that were linked.
    pub(crate) created: LocalCounter,
    /// Elements that a delete claimed.
    pub(crate) deleted: LocalCounter,
    /// Elements that an update claimed.
    pub(crate) replaced: LocalCounter,
    /// Elements that the death of their owner claimed.
    pub(crate) owner_deaths: LocalCounter,
    /// Elements that the end of the map claimed.
    pub(super) closed: LocalCounter,
    /// Elements that were on a list still when they were handed to the reaper.
    pub(crate) deferred: LocalCounter,
    /// Copies made for owners that were born with them.
    pub(crate) clones: LocalCounter,
    /// Copies that could not be made.
    pub(crate) clone_failures: LocalCounter,
}

impl Counters {
    /// Counters at 0. May sleep.
    pub(super) fn new() -> Result<Self> {
        Ok(Self {
            shares: PerCpuCounters::new()?,
            deadlocks: Counter::new(),
            timeouts: Counter::new(),
            nomem: Counter::new(),
        })
    }

    /// The share of this CPU.
    #[inline(always)]
    pub(crate) fn this_cpu(&self) -> &MapShares {
        self.shares.this_cpu()
    }

    /// The sum of one counter over all CPUs.
    pub(crate) fn sum(&self, which: impl Fn(&MapShares) -> &LocalCounter) -> u64 {
        self.shares.sum(which)
    }

    /// The size in bytes of all shares.
    pub(super) fn bytes(&self) -> usize {
        self.shares.bytes()
    }

    /// The number of live elements.
    pub(crate) fn elements(&self) -> u64 {
        // First the elements that ended, then those that were created. Each element was created
        // before it ended, so the difference is not too small.
        let ended = self.sum(|here| &here.deleted)
            + self.sum(|here| &here.replaced)
            + self.sum(|here| &here.owner_deaths)
            + self.sum(|here| &here.closed);
        self.sum(|here| &here.created).saturating_sub(ended)
    }

    /// Counts a refusal for lack of a lock or memory, and returns it.
    pub(super) fn refused(&self, refusal: Refusal) -> Refusal {
        match refusal {
            Refusal::Lock(LockError::Deadlock) => self.deadlocks.add(1),
            Refusal::Lock(LockError::Timeout) => self.timeouts.add(1),
            Refusal::NoMemory => self.nomem.add(1),
            Refusal::Exists | Refusal::Missing | Refusal::OwnerDead | Refusal::Unsupported => {}
        }
        refusal
    }
}

/// Counts what happened in the whole module.
pub(crate) struct Stats {
    shares: PerCpuCounters<StatShares>,
    /// Maps that exist.
    pub(crate) maps: Counter,
    /// The size in bytes of these maps, with their tables and counters, without their elements.
    pub(crate) map_bytes: Counter,
    /// Owners whose first notice of death was missed, and whose second one, the backstop, came.
    pub(crate) late_free: Counter,
    /// Objects that were on a list still when they were handed over, and that the reaper has
    /// unlinked.
    pub(crate) finished: Counter,
    /// Nanoseconds that the reaper took to drop values and to free memory.
    pub(crate) reap_ns: Counter,
}

/// The share of one CPU: a cache line.
#[derive(Default)]
pub(crate) struct StatShares {
    /// Elements that were allocated.
    pub(crate) allocated: LocalCounter,
    /// The size in bytes of the elements that are allocated now.
    pub(crate) element_bytes: LocalCounter,
    /// Storages that are allocated now.
    pub(crate) storages: LocalCounter,
    /// Bytes that are charged to owners now.
    pub(crate) charged: LocalCounter,
    /// Owners that died and had a storage.
    pub(crate) owner_deaths: LocalCounter,
    /// Owners whose notices of death were all missed. Another owner was found at their address.
    pub(crate) stale: LocalCounter,
    /// Objects that were on a list still when they were handed to the reaper.
    pub(crate) deferred: LocalCounter,
    /// Elements whose value was dropped and whose memory was freed.
    pub(crate) freed: LocalCounter,
}

impl Stats {
    /// Counters at 0. May sleep.
    pub(super) fn new() -> Result<Self> {
        Ok(Self {
            shares: PerCpuCounters::new()?,
            maps: Counter::new(),
            map_bytes: Counter::new(),
            late_free: Counter::new(),
            finished: Counter::new(),
            reap_ns: Counter::new(),
        })
    }

    /// The share of this CPU.
    #[inline(always)]
    pub(crate) fn this_cpu(&self) -> &StatShares {
        self.shares.this_cpu()
    }

    /// The sum of one counter over all CPUs.
    pub(crate) fn sum(&self, which: impl Fn(&StatShares) -> &LocalCounter) -> u64 {
        self.shares.sum(which)
    }
}
