// SPDX-License-Identifier: GPL-2.0
//! The counts of a map and of the module, and the module's parameters.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use anyhow::{Context, Result};
use ostor::device::{self, Kind, Map, Mode, Owner};
use ostor::process::Child;
use ostor::settle;

use crate::harness::{VALUE_SIZE, assert_elements_become, new_map};
use crate::needs;

crate::suite![
    a_new_map,
    maps_are_numbered_in_turn,
    the_flags_are_as_it_was_created,
    tasks_are_served,
    a_map_counts_what_is_done,
    bytes_come_and_go,
    the_module_counts_what_lives,
    the_module_counts_what_was,
    parameters_can_be_read,
];

fn a_new_map() -> Result<()> {
    let info = new_map()?.info()?;
    assert_eq!(info.value_size, VALUE_SIZE);
    assert!(
        info.element_size >= VALUE_SIZE && info.buckets > 0 && info.bytes > 0,
        "{info:?}"
    );
    let counts = [
        info.elements,
        info.pending,
        info.created,
        info.deleted,
        info.replaced,
        info.owner_deaths,
        info.deadlocks,
        info.timeouts,
        info.nomem,
        info.deferred,
        info.clones,
        info.clone_failures,
    ];
    assert_eq!(counts, [0; 12]);
    assert_eq!((info.flags, info.reserved), (0, 0));
    assert_eq!(info.name, [0; 16]);
    Ok(())
}

fn maps_are_numbered_in_turn() -> Result<()> {
    let first = new_map()?.info()?.id;
    let second = new_map()?.info()?.id;
    assert_eq!(second, first + 1, "numbers are not used again");
    let map = new_map()?;
    let same = Map::from_fd(map.as_fd().try_clone_to_owned()?)?;
    assert_eq!(same.info()?.id, map.info()?.id);
    Ok(())
}

fn the_flags_are_as_it_was_created() -> Result<()> {
    let map = needs::cloning_map()?;
    assert_eq!(map.info()?.flags, uapi::OSTOR_MAP_CLONE);
    Ok(())
}

fn tasks_are_served() -> Result<()> {
    let stats = device::stats()?;
    assert!(Kind::Task.is_served(&stats), "{stats:?}");
    let known: u32 = Kind::ALL.into_iter().map(Kind::bit).sum();
    assert_eq!(stats.kinds & !known, 0, "{stats:?}");
    Ok(())
}

fn a_map_counts_what_is_done() -> Result<()> {
    let map = new_map()?;
    let children = (0..4)
        .map(|_| Child::idle())
        .collect::<nix::Result<Vec<_>>>()?;
    for child in &children {
        map.update(Owner::task(child), &[], Mode::NoExist)?;
    }
    map.update(Owner::task(&children[0]), &[], Mode::Any)?;
    map.delete(Owner::task(&children[0]))?;
    map.take(Owner::task(&children[1]))?;
    children[2].kill_and_reap()?;
    assert_elements_become(&map, 1);
    let info = map.info()?;
    assert_eq!((info.replaced, info.deleted), (1, 2), "{info:?}");
    assert_eq!(info.owner_deaths, 1, "{info:?}");
    // An update that replaces an element creates another one.
    assert_eq!(info.created, 5, "{info:?}");
    assert_eq!(
        (info.deadlocks, info.timeouts, info.nomem),
        (0, 0, 0),
        "{info:?}"
    );
    Ok(())
}

fn bytes_come_and_go() -> Result<()> {
    let map = new_map()?;
    let empty = map.info()?;
    map.update(Owner::Current, &[], Mode::Any)?;
    let one = map.info()?;
    assert_eq!(one.bytes, empty.bytes + u64::from(one.element_size));
    map.delete(Owner::Current)?;
    let freed = settle::until(|| {
        let now = map.info()?;
        assert_eq!(now.elements, 0);
        Ok(now.pending == 0 && now.bytes == empty.bytes)
    })?;
    assert!(freed, "{:?}, at first {empty:?}", map.info()?);
    Ok(())
}

fn the_module_counts_what_lives() -> Result<()> {
    let child = Child::idle()?;
    let before = device::stats()?;
    let maps = [new_map()?, new_map()?];
    let empty = device::stats()?;
    assert_eq!(empty.maps, before.maps + 2);
    assert!(empty.bytes > before.bytes);

    for map in &maps {
        map.update(Owner::task(&child), &[], Mode::Any)?;
    }
    maps[0].update(Owner::Current, &[], Mode::Any)?;
    let full = device::stats()?;
    assert_eq!(full.elements, empty.elements + 3);
    assert_eq!(full.storages, empty.storages + 2, "one for each owner");
    assert!(full.bytes > empty.bytes);

    drop(maps);
    let after = device::stats()?;
    assert_eq!(
        after.maps, before.maps,
        "a close returns when the map is gone"
    );
    assert_eq!(after.dropped, before.dropped + 3, "and every value");
    Ok(())
}

fn the_module_counts_what_was() -> Result<()> {
    let before = device::stats()?;
    let (map, child) = (new_map()?, Child::idle()?);
    map.update(Owner::task(&child), &[], Mode::Any)?;
    map.update(Owner::Current, &[], Mode::Any)?;
    assert_eq!(device::stats()?.allocated, before.allocated + 2);
    child.kill_and_reap()?;
    assert_elements_become(&map, 1);
    drop(map);
    let after = settle::stats_back_to(&before)?;
    assert_eq!(after.owner_deaths, before.owner_deaths + 1);
    assert_eq!(after.dropped, before.dropped + 2);
    assert!(after.bpf <= 1);
    Ok(())
}

/// Every user can read them. They are set when the module is loaded.
fn parameters_can_be_read() -> Result<()> {
    let dirs = fs::read_dir("/sys/module")?.filter_map(|entry| {
        let entry = entry.ok()?;
        let name = entry.file_name();
        let name = name.to_str()?;
        let is_ours = name.starts_with("owner_storage") && !name.ends_with("_torture");
        is_ours.then(|| entry.path().join("parameters"))
    });
    let dir = dirs.last().context("the module is not loaded")?;
    let read = |name: &str| -> Result<u32> {
        let path = dir.join(name);
        assert_eq!(fs::metadata(&path)?.mode() & 0o777, 0o444, "{name}");
        let text = fs::read_to_string(&path)?;
        Ok(text.trim_end().parse()?)
    };
    assert_eq!(1 << read("map_bits")?, new_map()?.info()?.buckets);
    for name in ["index_bits", "pending_hurry", "pending_limit"] {
        read(name)?;
    }
    Ok(())
}
