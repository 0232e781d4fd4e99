// SPDX-License-Identifier: GPL-2.0
//! Every command on every kind of owners, and the end of such owners.

use std::os::fd::OwnedFd;

use anyhow::Result;
use nix::errno::Errno;
use ostor::device::{self, Kind, Map, Mode, Owner, list_owner};
use ostor::object::Object;
use ostor::settle;
use ostor::sys::ioctl::ElemCommand;
use uapi::ostor_entry;

use crate::harness::{assert_elements_become, assert_refused, new_map};
use crate::raw_elem::{RawElem, Value};

crate::kind_suite![
    get_of_nothing,
    update_creates_and_replaces,
    modes_of_update,
    get_or_create_creates_once,
    get_or_create_without_a_value,
    delete_deletes,
    take_returns_and_deletes,
    listed_with_its_kind_and_number,
    listed_by_owner,
    owners_are_apart,
    another_descriptor_is_the_same_owner,
    a_map_that_closes_takes_it,
    its_end_frees_it,
    the_end_of_many_at_once,
    new_ones_never_find_old_values,
    an_end_without_values_is_no_death,
];

/// Number of owners that a test creates. Namespaces take long.
fn count(kind: Kind) -> usize {
    if kind == Kind::Netns { 8 } else { 100 }
}

/// A second descriptor of the owner.
fn duplicate(object: &Object) -> Result<OwnedFd> {
    let fd = match object.owner() {
        Owner::Task(fd) | Owner::CgroupFd(fd) | Owner::Socket(fd) | Owner::Netns(fd) => fd,
        owner => unreachable!("{owner:?} is named by no descriptor"),
    };
    Ok(fd.try_clone_to_owned()?)
}

fn get_of_nothing(kind: Kind) -> Result<()> {
    let (map, object) = (new_map()?, Object::new(kind)?);
    assert_refused(map.get(object.owner()), Errno::ENOENT);
    assert_refused(map.delete(object.owner()), Errno::ENOENT);
    assert_refused(map.take(object.owner()), Errno::ENOENT);
    object.end()
}

fn update_creates_and_replaces(kind: Kind) -> Result<()> {
    let (map, object) = (new_map()?, Object::new(kind)?);
    let first = map.update(object.owner(), b"first", Mode::Any)?;
    assert_eq!((first.created, first.seq), (true, 1));
    let second = map.update(object.owner(), b"second", Mode::Any)?;
    assert_eq!((second.created, second.seq), (false, 1));
    let found = map.get(object.owner())?;
    assert_eq!((&found.value[..6], found.seq), (&b"second"[..], 1));
    let info = map.info()?;
    assert_eq!((info.elements, info.replaced), (1, 1));
    object.end()
}

fn modes_of_update(kind: Kind) -> Result<()> {
    let (map, object) = (new_map()?, Object::new(kind)?);
    assert_refused(
        map.update(object.owner(), b"none", Mode::Exist),
        Errno::ENOENT,
    );
    assert!(map.update(object.owner(), b"new", Mode::NoExist)?.created);
    assert_refused(
        map.update(object.owner(), b"again", Mode::NoExist),
        Errno::EEXIST,
    );
    assert!(!map.update(object.owner(), b"old", Mode::Exist)?.created);
    assert_eq!(map.get(object.owner())?.value[..3], *b"old");
    object.end()
}

fn get_or_create_creates_once(kind: Kind) -> Result<()> {
    let (map, object) = (new_map()?, Object::new(kind)?);
    let first = map.get_or_create(object.owner(), b"first")?;
    let second = map.get_or_create(object.owner(), b"second")?;
    assert_eq!((first.created, second.created), (true, false));
    assert_eq!((first.seq, &first.value), (second.seq, &second.value));
    assert_eq!(second.value[..5], *b"first");
    object.end()
}

fn get_or_create_without_a_value(kind: Kind) -> Result<()> {
    let (map, object) = (new_map()?, Object::new(kind)?);
    let mut elem = RawElem::valid(ElemCommand::GetOrCreate, object.owner());
    elem.value = Value::Null;
    elem.arg.value_size = 0;
    elem.run(&map)?;
    assert_eq!((elem.arg.created, elem.arg.seq), (1, 1));
    assert_eq!(map.get(object.owner())?.value, [0; 16]);
    object.end()
}

fn delete_deletes(kind: Kind) -> Result<()> {
    let (map, object) = (new_map()?, Object::new(kind)?);
    map.update(object.owner(), b"x", Mode::Any)?;
    map.delete(object.owner())?;
    assert_refused(map.get(object.owner()), Errno::ENOENT);
    assert_refused(map.delete(object.owner()), Errno::ENOENT);
    assert_eq!(map.update(object.owner(), b"y", Mode::NoExist)?.seq, 2);
    object.end()
}

fn take_returns_and_deletes(kind: Kind) -> Result<()> {
    let (map, object) = (new_map()?, Object::new(kind)?);
    map.update(object.owner(), b"x", Mode::Any)?;
    let taken = map.take(object.owner())?;
    assert_eq!((&taken.value[..1], taken.seq), (&b"x"[..], 1));
    assert_refused(map.take(object.owner()), Errno::ENOENT);
    let info = map.info()?;
    assert_eq!((info.elements, info.deleted), (0, 1));
    object.end()
}

fn listed_with_its_kind_and_number(kind: Kind) -> Result<()> {
    let (map, object) = (new_map()?, Object::new(kind)?);
    map.update(object.owner(), b"x", Mode::Any)?;
    let items = map.list()?;
    let entry = ostor_entry {
        owner_id: object.id()?,
        seq: 1,
        owner_kind: kind.to_uapi(),
        reserved: 0,
    };
    assert_eq!(items.len(), 1, "{items:?}");
    assert_eq!(items[0].entry, entry);
    assert_eq!(items[0].value[..2], *b"x\0");
    object.end()
}

fn listed_by_owner(kind: Kind) -> Result<()> {
    let (device, object) = (device::open()?, Object::new(kind)?);
    assert_eq!(list_owner(&device, object.owner())?, []);
    let maps = [new_map()?, new_map()?, new_map()?];
    for map in &maps {
        map.update(object.owner(), b"x", Mode::Any)?;
    }
    maps[1].delete(object.owner())?;
    let listed = list_owner(&device, object.owner())?;
    let ids: Vec<_> = listed.iter().map(|owned| owned.map_id).collect();
    assert_eq!(ids, [maps[0].info()?.id, maps[2].info()?.id]);
    drop(maps);
    assert_eq!(list_owner(&device, object.owner())?, []);
    object.end()
}

fn owners_are_apart(kind: Kind) -> Result<()> {
    let map = new_map()?;
    let objects = Object::several(kind, count(kind))?;
    for (i, object) in (0u64..).zip(&objects) {
        map.update(object.owner(), &i.to_ne_bytes(), Mode::NoExist)?;
    }
    for object in objects.iter().step_by(2) {
        map.delete(object.owner())?;
    }
    for (i, object) in (0u64..).zip(&objects) {
        if i % 2 == 0 {
            assert_refused(map.get(object.owner()), Errno::ENOENT);
        } else {
            assert_eq!(map.get(object.owner())?.value[..8], i.to_ne_bytes());
        }
    }
    objects.into_iter().try_for_each(Object::end)
}

fn another_descriptor_is_the_same_owner(kind: Kind) -> Result<()> {
    let (map, object) = (new_map()?, Object::new(kind)?);
    let other = duplicate(&object)?;
    let other_owner = match kind {
        Kind::Task => Owner::task(&other),
        Kind::Cgroup => Owner::cgroup(&other),
        Kind::Socket => Owner::socket(&other),
        Kind::Netns => Owner::netns(&other),
    };
    map.update(object.owner(), b"x", Mode::NoExist)?;
    assert_eq!(map.get(other_owner)?.value[..1], *b"x");
    map.update(other_owner, b"y", Mode::Exist)?;
    assert_eq!(map.take(object.owner())?.value[..1], *b"y");
    assert_refused(map.get(other_owner), Errno::ENOENT);
    drop(other);
    object.end()
}

fn a_map_that_closes_takes_it(kind: Kind) -> Result<()> {
    // A process that is forked later would have the map open for a moment.
    let object = Object::new(kind)?;
    let (map, stays) = (new_map()?, new_map()?);
    map.update(object.owner(), b"x", Mode::Any)?;
    stays.update(object.owner(), b"y", Mode::Any)?;
    let before = device::stats()?;
    drop(map);
    assert_eq!(device::stats()?.dropped, before.dropped + 1);
    assert_eq!(stays.get(object.owner())?.value[..1], *b"y");
    object.end()
}

fn its_end_frees_it(kind: Kind) -> Result<()> {
    let (maps, object) = ([new_map()?, new_map()?], Object::new(kind)?);
    let before = device::stats()?;
    for map in &maps {
        map.update(object.owner(), b"x", Mode::Any)?;
    }
    assert_eq!(device::stats()?.storages, before.storages + 1);
    object.end()?;
    for map in &maps {
        assert_elements_become(map, 0);
        let info = map.info()?;
        assert_eq!((info.owner_deaths, info.deleted), (1, 0));
    }
    assert_eq!(device::stats()?.owner_deaths, before.owner_deaths + 1);
    Ok(())
}

fn the_end_of_many_at_once(kind: Kind) -> Result<()> {
    let map = new_map()?;
    let objects = Object::several(kind, count(kind))?;
    for object in &objects {
        map.update(object.owner(), &[], Mode::NoExist)?;
    }
    objects.into_iter().try_for_each(Object::end)?;
    assert_elements_become(&map, 0);
    assert_eq!(map.info()?.owner_deaths, count(kind) as u64);
    Ok(())
}

fn new_ones_never_find_old_values(kind: Kind) -> Result<()> {
    let map = new_map()?;
    for _ in 0..count(kind) {
        let object = Object::new(kind)?;
        assert_refused(map.get(object.owner()), Errno::ENOENT);
        assert_eq!(list_owner(&map, object.owner())?, []);
        map.update(object.owner(), b"x", Mode::NoExist)?;
        object.end()?;
    }
    assert_elements_become(&map, 0);
    assert_eq!(map.info()?.owner_deaths, count(kind) as u64);
    Ok(())
}

/// The module is notified of the death of every owner. It ignores owners without values.
fn an_end_without_values_is_no_death(kind: Kind) -> Result<()> {
    let (map, before) = (new_map()?, device::stats()?);
    let [never, no_more, has] = [Object::new(kind)?, Object::new(kind)?, Object::new(kind)?];
    map.update(no_more.owner(), b"x", Mode::Any)?;
    map.delete(no_more.owner())?;
    map.update(has.owner(), b"y", Mode::Any)?;
    let freed = settle::until(|| is_freed(&map, 1))?;
    assert!(freed, "{:?}", map.info()?);
    for object in [never, no_more, has] {
        object.end()?;
    }
    assert_elements_become(&map, 0);
    assert_eq!(device::stats()?.owner_deaths, before.owner_deaths + 1);
    Ok(())
}

/// Whether the map has exactly `elements` live elements, and no dead ones.
fn is_freed(map: &Map, elements: u64) -> device::Result<bool> {
    let info = map.info()?;
    Ok((info.elements, info.pending) == (elements, 0))
}
