// SPDX-License-Identifier: GPL-2.0

//! What is counted: in each map, and in the module as a whole.

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

/// What happened in a map.
pub(crate) struct Counters {
    shares: PerCpuCounters<MapShares>,
    /// Operations refused with [`LockError::Deadlock`].
    pub(crate) deadlocks: Counter,
    /// Operations refused with [`LockError::Timeout`].
    pub(crate) timeouts: Counter,
    /// Operations refused with [`Refusal::NoMemory`].
    pub(crate) nomem: Counter,
}

/// What happened in a map on one processor: a cache line.
#[derive(Default)]
pub(crate) struct MapShares {
    /// Elements ever linked.
    pub(crate) created: LocalCounter,
    /// Elements ended by a delete.
    pub(crate) deleted: LocalCounter,
    /// Elements ended by an update.
    pub(crate) replaced: LocalCounter,
    /// Elements ended by their owner's death.
    pub(crate) owner_deaths: LocalCounter,
    /// Elements ended by the end of the map.
    pub(super) closed: LocalCounter,
    /// Elements handed to the reaper still linked.
    pub(crate) deferred: LocalCounter,
    /// Copies made for newborn owners.
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

    /// What this processor counts on.
    #[inline(always)]
    pub(crate) fn this_cpu(&self) -> &MapShares {
        self.shares.this_cpu()
    }

    /// What all processors have counted together.
    pub(crate) fn sum(&self, which: impl Fn(&MapShares) -> &LocalCounter) -> u64 {
        self.shares.sum(which)
    }

    /// Bytes that the shares of all CPUs take.
    pub(super) fn bytes(&self) -> usize {
        self.shares.bytes()
    }

    /// Live elements.
    pub(crate) fn elements(&self) -> u64 {
        // In this order: what has ended was created before.
        let ended = self.sum(|here| &here.deleted)
            + self.sum(|here| &here.replaced)
            + self.sum(|here| &here.owner_deaths)
            + self.sum(|here| &here.closed);
        self.sum(|here| &here.created).saturating_sub(ended)
    }

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
}

/// Counters of the whole module.
pub(crate) struct Stats {
    shares: PerCpuCounters<StatShares>,
    /// Live maps.
    pub(crate) maps: Counter,
    /// Bytes of those, tables included.
    pub(crate) map_bytes: Counter,
    /// Owners whose notice of death was missed, seen by a backstop.
    pub(crate) late_free: Counter,
    /// Objects that were handed to the reaper still linked, and that it has unlinked.
    pub(crate) finished: Counter,
    /// Nanoseconds spent dropping values and freeing.
    pub(crate) reap_ns: Counter,
}

/// What one processor counts of that: a cache line.
#[derive(Default)]
pub(crate) struct StatShares {
    /// Elements ever allocated.
    pub(crate) allocated: LocalCounter,
    /// Bytes of the elements that are allocated.
    pub(crate) element_bytes: LocalCounter,
    /// Storages that are allocated.
    pub(crate) storages: LocalCounter,
    /// Bytes that are charged to owners.
    pub(crate) charged: LocalCounter,
    /// Owners that died while they had storage.
    pub(crate) owner_deaths: LocalCounter,
    /// Owners whose death every notice missed, seen when another one was found in their place.
    pub(crate) stale: LocalCounter,
    /// Objects handed to the reaper still linked.
    pub(crate) deferred: LocalCounter,
    /// Elements ever freed, their values dropped.
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

    /// What this processor counts on.
    #[inline(always)]
    pub(crate) fn this_cpu(&self) -> &StatShares {
        self.shares.this_cpu()
    }

    /// What all processors have counted together.
    pub(crate) fn sum(&self, which: impl Fn(&StatShares) -> &LocalCounter) -> u64 {
        self.shares.sum(which)
    }
}
