// SPDX-License-Identifier: GPL-2.0

//! What a map and the module tell of themselves.

use super::{
    map::DeviceMap,
    Arg, //
};
use crate::{
    owner::{
        kinds,
        socket, //
    },
    storage::{
        raw_map::RawMap,
        runtime::Runtime, //
    },
    sync::nolock,
    uapi::{
        ostor_listed_map,
        ostor_map_info,
        ostor_stats,
        OSTOR_MAP_CLONE, //
    }, //
};
use kernel::prelude::*;

pub(super) fn map(map: &DeviceMap, arg: &Arg) -> Result {
    let raw = map.raw();
    let counters = raw.counters();
    let elements = counters.elements();
    arg.write(&ostor_map_info {
        value_size: u32::try_from(raw.value_size())?,
        element_size: u32::try_from(raw.element_size())?,
        buckets: u32::try_from(raw.buckets())?,
        flags: flags(raw),
        id: raw.id(),
        elements,
        pending: (raw.unfreed() as u64).saturating_sub(elements),
        bytes: raw.bytes(),
        created: counters.sum(|here| &here.created),
        deleted: counters.sum(|here| &here.deleted),
        replaced: counters.sum(|here| &here.replaced),
        owner_deaths: counters.sum(|here| &here.owner_deaths),
        deadlocks: counters.deadlocks.get(),
        timeouts: counters.timeouts.get(),
        nomem: counters.nomem.get(),
        deferred: counters.sum(|here| &here.deferred),
        clones: counters.sum(|here| &here.clones),
        clone_failures: counters.sum(|here| &here.clone_failures),
        name: map.name.0,
        reserved: 0,
    })
}

/// What a listing of maps tells of one.
pub(super) fn listed(map: &DeviceMap) -> Result<ostor_listed_map> {
    let raw = map.raw();
    let elements = raw.counters().elements();
    Ok(ostor_listed_map {
        id: raw.id(),
        elements,
        pending: (raw.unfreed() as u64).saturating_sub(elements),
        bytes: raw.bytes(),
        value_size: u32::try_from(raw.value_size())?,
        element_size: u32::try_from(raw.element_size())?,
        buckets: u32::try_from(raw.buckets())?,
        flags: flags(raw),
        name: map.name.0,
        comm: map.comm.0,
        pid: map.pid,
        reserved: 0,
    })
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
    let freed = stats.sum(|here| &here.freed);
    let allocated = stats.sum(|here| &here.allocated);
    arg.write_part(&ostor_stats {
        maps: stats.maps.get(),
        elements: allocated.saturating_sub(freed),
        storages: stats.sum(|here| &here.storages),
        bytes: stats.bytes(),
        allocated,
        dropped: freed,
        freed,
        owner_deaths: stats.sum(|here| &here.owner_deaths),
        late_free: stats.late_free.get(),
        deferred: stats.sum(|here| &here.deferred),
        finished: stats.finished.get(),
        stale: stats.sum(|here| &here.stale),
        charged: stats.sum(|here| &here.charged),
        omem_left: socket::omem_left(),
        kinds: kinds::served(),
        pad: 0,
        uncharged: nolock::uncharged(),
        shared: socket::shared(),
        refused: kinds::refused(),
        pending,
        pending_bytes,
    })
}
