// SPDX-License-Identifier: GPL-2.0
//! The driver of measurements.

use std::os::fd::AsFd;

use anyhow::Result;
use nix::errno::Errno;
use ostor::device::{Bench, BenchKind, Map, Mode, Owner};
use ostor::sys::ioctl;
use uapi::ostor_bench;

use crate::harness::{assert_refused, assert_refused_unchanged, new_map};

crate::suite![
    every_kind_is_measured_and_leaves_nothing,
    an_element_in_the_way,
    refused
];

/// Those that use the map come first.
const KINDS: [BenchKind; 6] = [
    BenchKind::GetHit,
    BenchKind::GetMiss,
    BenchKind::CreateFirst,
    BenchKind::CreateLater,
    BenchKind::Lock,
    BenchKind::Alloc,
];

fn measure(map: &Map, kind: BenchKind, maps: u32) -> ostor::device::Result<ostor::device::Cost> {
    Bench {
        kind,
        maps,
        iterations: 1000,
    }
    .run(map)
}

fn every_kind_is_measured_and_leaves_nothing() -> Result<()> {
    let map = new_map()?;
    for kind in KINDS {
        for maps in [1, 2, 64] {
            // A host that is busy elsewhere during the empty loop makes a run look free.
            let mut costs = (0..20).map(|_| measure(&map, kind, maps));
            let costly = costs.find(|cost| !matches!(cost, Ok(cost) if cost.ns == 0));
            assert!(costly.transpose()?.is_some(), "{kind:?} costs nothing");
            assert_eq!(map.info()?.elements, 0, "{kind:?}");
        }
    }
    assert_refused(map.get(Owner::Current), Errno::ENOENT);
    Ok(())
}

fn an_element_in_the_way() -> Result<()> {
    let map = new_map()?;
    map.update(Owner::Current, b"x", Mode::Any)?;
    for kind in &KINDS[..4] {
        assert_refused(measure(&map, *kind, 1), Errno::EEXIST);
        assert_eq!(map.get(Owner::Current)?.value[..1], *b"x", "{kind:?}");
    }
    Ok(())
}

fn refused() -> Result<()> {
    let map = new_map()?;
    let valid = ostor_bench {
        bench: uapi::OSTOR_BENCH_GET_MISS,
        maps: 1,
        iterations: 1,
        ..ostor_bench::default()
    };
    type Change = (&'static str, fn(&mut ostor_bench));
    let changes: [Change; 7] = [
        ("nothing", |arg| arg.bench = 0),
        ("unknown", |arg| arg.bench = 7),
        ("no map", |arg| arg.maps = 0),
        ("too many maps", |arg| arg.maps = 65),
        ("no iteration", |arg| arg.iterations = 0),
        ("too many iterations", |arg| {
            arg.iterations = u64::from(uapi::OSTOR_BENCH_MAX) + 1
        }),
        ("reserved", |arg| arg.reserved = 1),
    ];
    for (what, change) in changes {
        let mut arg = valid;
        change(&mut arg);
        assert_refused_unchanged(&map, Errno::EINVAL, what, || {
            ioctl::bench(map.as_fd(), &mut arg)
        });
    }
    ioctl::bench(map.as_fd(), &mut valid.clone())?;
    Ok(())
}
