// SPDX-License-Identifier: GPL-2.0
//! The driver that measures operations.

use std::os::fd::{AsFd, AsRawFd};

use anyhow::Result;
use nix::errno::Errno;
use ostor::device::{self, Kind, Map, Mode, Owner, list_owner};
use ostor::object::Object;
use ostor::process::Child;
use ostor::torture::{Bench, BenchKind, TortureDevice, ioctl};
use uapi::ostor_bench;

use crate::harness::{assert_refused, assert_refused_unchanged, new_map};

crate::suite![
    every_kind_is_measured_and_leaves_nothing,
    every_kind_of_owner,
    a_dead_owner,
    an_element_in_the_way,
    refused
];

/// The first four use the map and the owner.
const KINDS: [BenchKind; 10] = [
    BenchKind::GetHit,
    BenchKind::GetMiss,
    BenchKind::CreateFirst,
    BenchKind::CreateLater,
    BenchKind::Lock,
    BenchKind::Alloc,
    BenchKind::SlotGetHit,
    BenchKind::SlotGetMiss,
    BenchKind::SlotCreateFirst,
    BenchKind::SlotCreateLater,
];

fn measure(
    map: &Map,
    owner: Owner<'_>,
    kind: BenchKind,
    maps: u32,
) -> ostor::device::Result<ostor::torture::Cost> {
    Bench {
        kind,
        owner,
        maps,
        iterations: 1000,
    }
    .run(&TortureDevice::open()?, map)
}

fn every_kind_is_measured_and_leaves_nothing() -> Result<()> {
    let map = new_map()?;
    for kind in KINDS {
        for maps in [1, 2, 64] {
            // If the host runs other work during the empty loop, the result is 0.
            let mut costs = (0..20).map(|_| measure(&map, Owner::Current, kind, maps));
            let costly = costs.find(|cost| !matches!(cost, Ok(cost) if cost.ns == 0));
            assert!(costly.transpose()?.is_some(), "{kind:?} costs nothing");
            assert_eq!(map.info()?.elements, 0, "{kind:?}");
        }
    }
    assert_refused(map.get(Owner::Current), Errno::ENOENT);
    Ok(())
}

/// Each kind of owners can be measured.
fn every_kind_of_owner() -> Result<()> {
    let (map, stats) = (new_map()?, device::stats()?);
    for owners in Kind::ALL.into_iter().filter(|kind| kind.is_served(&stats)) {
        let object = Object::new(owners)?;
        for kind in &KINDS[..4] {
            measure(&map, object.owner(), *kind, 2)?;
            assert_eq!(map.info()?.elements, 0, "{owners} {kind:?}");
        }
        assert_eq!(list_owner(&map, object.owner())?, []);
        object.end()?;
    }
    Ok(())
}

fn a_dead_owner() -> Result<()> {
    let (map, child) = (new_map()?, Child::idle()?);
    child.kill_and_reap()?;
    for kind in &KINDS[..4] {
        assert_refused(measure(&map, Owner::task(&child), *kind, 1), Errno::ESRCH);
    }
    Ok(())
}

fn an_element_in_the_way() -> Result<()> {
    let map = new_map()?;
    map.update(Owner::Current, b"x", Mode::Any)?;
    for kind in &KINDS[..4] {
        assert_refused(measure(&map, Owner::Current, *kind, 1), Errno::EEXIST);
        assert_eq!(map.get(Owner::Current)?.value[..1], *b"x", "{kind:?}");
    }
    Ok(())
}

fn refused() -> Result<()> {
    let (map, torture) = (new_map()?, TortureDevice::open()?);
    let valid = ostor_bench {
        bench: uapi::OSTOR_BENCH_GET_MISS,
        maps: 1,
        iterations: 1,
        map_fd: map.as_fd().as_raw_fd(),
        ..ostor_bench::default()
    };
    type Change = (&'static str, fn(&mut ostor_bench));
    let changes: [Change; 11] = [
        ("nothing", |arg| arg.bench = 0),
        ("nothing of a slot", |arg| {
            arg.bench = uapi::OSTOR_BENCH_SLOT
        }),
        ("unknown", |arg| arg.bench = 7),
        ("no map", |arg| arg.maps = 0),
        ("too many maps", |arg| arg.maps = 65),
        ("no iteration", |arg| arg.iterations = 0),
        ("too many iterations", |arg| {
            arg.iterations = u64::from(uapi::OSTOR_BENCH_MAX) + 1
        }),
        ("pad", |arg| arg.pad = 1),
        ("kind of owner", |arg| arg.owner.by = 6),
        ("descriptor of the owner", |arg| arg.owner.fd = 1),
        ("id of the owner", |arg| arg.owner.id = 1),
    ];
    for (what, change) in changes {
        let mut arg = valid;
        change(&mut arg);
        assert_refused_unchanged(&map, Errno::EINVAL, what, || {
            ioctl::bench(&torture, &mut arg)
        });
    }
    ioctl::bench(&torture, &mut valid.clone())?;
    Ok(())
}
