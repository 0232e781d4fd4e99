// SPDX-License-Identifier: GPL-2.0

//! What a map and the module tell of themselves.

use super::{
    bpf,
    map::DeviceMap,
    Arg,
    Handle, //
};
use crate::{
    owner::{
        kinds,
        socket, //
    },
    storage::{
        raw_map::RawMap,
        runtime::Runtime,
        stats::{
            Counters,
            MapShares,
            StatShares,
            Stats, //
        }, //
    },
    sync::{
        nolock,
        per_cpu::LocalCounter, //
    },
    uapi::{
        ostor_listed_map,
        ostor_map_info,
        ostor_stats,
        OSTOR_MAP_CLONE, //
    }, //
};
use kernel::prelude::*;

/// The sum of one counter of a map. Compiled once for all of them.
#[inline(never)]
fn sum(counters: &Counters, which: fn(&MapShares) -> &LocalCounter) -> u64 {
    counters.sum(which)
}

/// The sum of one counter of the module. Likewise.
#[inline(never)]
fn total(stats: &Stats, which: fn(&StatShares) -> &LocalCounter) -> u64 {
    stats.sum(which)
}

pub(super) fn map(handle: &Handle, arg: &Arg) -> Result {
    let map = handle.map()?;
    let raw = map.raw();
    let counters = raw.counters();
    let elements = counters.elements();
    arg.write(&ostor_map_info {
        value_size: raw.value_size() as u32,
        element_size: raw.element_size() as u32,
        buckets: raw.buckets() as u32,
        flags: flags(raw),
        id: raw.id(),
        elements,
        pending: (raw.unfreed() as u64).saturating_sub(elements),
        bytes: raw.bytes(),
        created: sum(counters, |here| &here.created),
        deleted: sum(counters, |here| &here.deleted),
        replaced: sum(counters, |here| &here.replaced),
        owner_deaths: sum(counters, |here| &here.owner_deaths),
        deadlocks: counters.deadlocks.get(),
        timeouts: counters.timeouts.get(),
        nomem: counters.nomem.get(),
        deferred: sum(counters, |here| &here.deferred),
        clones: sum(counters, |here| &here.clones),
        clone_failures: sum(counters, |here| &here.clone_failures),
        name: map.name.0,
        reserved: 0,
    })
}

/// What a listing of maps tells of one.
pub(super) fn listed(map: &DeviceMap) -> ostor_listed_map {
    let raw = map.raw();
    let elements = raw.counters().elements();
    ostor_listed_map {
        id: raw.id(),
        elements,
        pending: (raw.unfreed() as u64).saturating_sub(elements),
        bytes: raw.bytes(),
        value_size: raw.value_size() as u32,
        element_size: raw.element_size() as u32,
        buckets: raw.buckets() as u32,
        flags: flags(raw),
        name: map.name.0,
        comm: map.comm.0,
        pid: map.pid,
        reserved: 0,
    }
}

/// A map's flags as user space gave them, of those that the core knows.
pub(super) fn flags(map: &RawMap) -> u32 {
    if map.clones() {
        OSTOR_MAP_CLONE
    } else {
        0
    }
}

pub(super) fn stats(arg: &Arg) -> Result {
    let runtime = Runtime::get().ok_or(ENODEV)?;
    let stats = &runtime.stats;
    let (pending, pending_bytes) = runtime.pending();
    let freed = total(stats, |here| &here.freed);
    let allocated = total(stats, |here| &here.allocated);
    arg.write(&ostor_stats {
        maps: stats.maps.get(),
        elements: allocated.saturating_sub(freed),
        storages: total(stats, |here| &here.storages),
        bytes: stats.bytes(),
        allocated,
        dropped: freed,
        freed,
        owner_deaths: total(stats, |here| &here.owner_deaths),
        late_free: stats.late_free.get(),
        deferred: total(stats, |here| &here.deferred),
        finished: stats.finished.get(),
        stale: total(stats, |here| &here.stale),
        charged: total(stats, |here| &here.charged),
        omem_left: socket::omem_left(),
        kinds: kinds::served(),
        bpf: bpf::is_usable().into(),
        uncharged: nolock::uncharged(),
        shared: socket::shared(),
        refused: kinds::refused(),
        pending,
        pending_bytes,
    })
}
