// SPDX-License-Identifier: GPL-2.0
//! The commands on one element, with valid arguments.

use anyhow::Result;
use nix::errno::Errno;
use ostor::device::{Map, Mode, Owner};
use ostor::process::Child;
use ostor::sys::ioctl::ElemCommand;

use crate::harness::{assert_refused, new_map};
use crate::raw_elem::{RawElem, Value};

crate::suite![
    get_of_nothing,
    update_creates,
    update_replaces_and_keeps_the_number,
    noexist_only_creates,
    exist_only_replaces,
    get_or_create_creates_once,
    get_or_create_without_a_value,
    delete_deletes,
    take_returns_and_deletes,
    numbers_count_creations,
    every_size_of_value,
    nothing_is_written_beyond_the_value,
    what_the_device_writes_is_ignored_on_input,
    maps_are_apart,
    owners_are_apart,
    one_owner_in_many_maps,
];

/// The bytes of a 16-byte value.
fn value(byte: u8) -> Vec<u8> {
    vec![byte; 16]
}

fn get_of_nothing() -> Result<()> {
    assert_refused(new_map()?.get(Owner::Current), Errno::ENOENT);
    Ok(())
}

fn update_creates() -> Result<()> {
    let (map, child) = (new_map()?, Child::idle()?);
    let stored = map.update(Owner::task(&child), &value(1), Mode::Any)?;
    assert!(stored.created);
    assert_eq!(stored.seq, 1);
    let found = map.get(Owner::task(&child))?;
    assert_eq!(
        (found.value, found.seq, found.created),
        (value(1), 1, false)
    );
    assert_eq!(map.info()?.elements, 1);
    Ok(())
}

fn update_replaces_and_keeps_the_number() -> Result<()> {
    let (map, child) = (new_map()?, Child::idle()?);
    map.update(Owner::task(&child), &value(1), Mode::Any)?;
    let stored = map.update(Owner::task(&child), &value(2), Mode::Any)?;
    assert_eq!((stored.created, stored.seq), (false, 1));
    let found = map.get(Owner::task(&child))?;
    assert_eq!((found.value, found.seq), (value(2), 1));
    let info = map.info()?;
    assert_eq!((info.elements, info.replaced), (1, 1));
    Ok(())
}

fn noexist_only_creates() -> Result<()> {
    let (map, child) = (new_map()?, Child::idle()?);
    assert!(
        map.update(Owner::task(&child), &value(1), Mode::NoExist)?
            .created
    );
    assert_refused(
        map.update(Owner::task(&child), &value(2), Mode::NoExist),
        Errno::EEXIST,
    );
    assert_eq!(map.get(Owner::task(&child))?.value, value(1));
    Ok(())
}

fn exist_only_replaces() -> Result<()> {
    let (map, child) = (new_map()?, Child::idle()?);
    assert_refused(
        map.update(Owner::task(&child), &value(1), Mode::Exist),
        Errno::ENOENT,
    );
    assert_eq!(map.info()?.created, 0);
    map.update(Owner::task(&child), &value(1), Mode::Any)?;
    assert!(
        !map.update(Owner::task(&child), &value(2), Mode::Exist)?
            .created
    );
    assert_eq!(map.get(Owner::task(&child))?.value, value(2));
    Ok(())
}

fn get_or_create_creates_once() -> Result<()> {
    let (map, child) = (new_map()?, Child::idle()?);
    let first = map.get_or_create(Owner::task(&child), &value(1))?;
    assert_eq!((first.value, first.seq, first.created), (value(1), 1, true));
    let second = map.get_or_create(Owner::task(&child), &value(2))?;
    assert_eq!(
        (second.value, second.seq, second.created),
        (value(1), 1, false)
    );
    assert_eq!(map.info()?.created, 1);
    Ok(())
}

fn get_or_create_without_a_value() -> Result<()> {
    let map = new_map()?;
    let mut attempt = RawElem::valid(ElemCommand::GetOrCreate, Owner::Current);
    attempt.value = Value::Null;
    attempt.arg.value_size = 0;
    attempt.run(&map)?;
    assert_eq!((attempt.arg.created, attempt.arg.seq), (1, 1));
    assert_eq!(map.get(Owner::Current)?.value, value(0));
    attempt.run(&map)?;
    assert_eq!((attempt.arg.created, attempt.arg.seq), (0, 1));
    Ok(())
}

fn delete_deletes() -> Result<()> {
    let (map, child) = (new_map()?, Child::idle()?);
    map.update(Owner::task(&child), &value(1), Mode::Any)?;
    map.delete(Owner::task(&child))?;
    assert_refused(map.get(Owner::task(&child)), Errno::ENOENT);
    assert_refused(map.delete(Owner::task(&child)), Errno::ENOENT);
    let info = map.info()?;
    assert_eq!((info.elements, info.deleted), (0, 1));
    Ok(())
}

fn take_returns_and_deletes() -> Result<()> {
    let (map, child) = (new_map()?, Child::idle()?);
    map.update(Owner::task(&child), &value(1), Mode::Any)?;
    let taken = map.take(Owner::task(&child))?;
    assert_eq!((taken.value, taken.seq), (value(1), 1));
    assert_refused(map.take(Owner::task(&child)), Errno::ENOENT);
    assert_eq!(map.info()?.deleted, 1);
    Ok(())
}

fn numbers_count_creations() -> Result<()> {
    let (map, other_map) = (new_map()?, new_map()?);
    let (a, b) = (Child::idle()?, Child::idle()?);
    assert_eq!(map.get_or_create(Owner::task(&a), &[])?.seq, 1);
    assert_eq!(map.update(Owner::task(&b), &[], Mode::Any)?.seq, 2);
    map.delete(Owner::task(&a))?;
    assert_eq!(map.update(Owner::task(&a), &[], Mode::NoExist)?.seq, 3);
    assert_eq!(map.get(Owner::task(&b))?.seq, 2);
    assert_eq!(other_map.get_or_create(Owner::task(&a), &[])?.seq, 1);
    Ok(())
}

fn every_size_of_value() -> Result<()> {
    for size in [
        1,
        2,
        7,
        8,
        9,
        63,
        64,
        65,
        255,
        1024,
        4095,
        4096,
        uapi::OSTOR_VALUE_SIZE_MAX,
    ] {
        let map = Map::create(size)?;
        let pattern: Vec<u8> = (0..size).map(|i| (i * 7 + size) as u8).collect();
        map.update(Owner::Current, &pattern, Mode::NoExist)?;
        assert!(map.get(Owner::Current)?.value == pattern, "size {size}");
        assert!(map.take(Owner::Current)?.value == pattern, "size {size}");
    }
    Ok(())
}

fn nothing_is_written_beyond_the_value() -> Result<()> {
    let map = new_map()?;
    map.update(Owner::Current, &value(1), Mode::Any)?;
    for command in [
        ElemCommand::Lookup,
        ElemCommand::GetOrCreate,
        ElemCommand::Take,
    ] {
        let mut attempt = RawElem::valid(command, Owner::Current);
        attempt.value = Value::Bytes(vec![9; 64]);
        attempt.run(&map)?;
        let expected = [value(1), vec![9; 48]].concat();
        assert_eq!(attempt.value, Value::Bytes(expected), "{command:?}");
    }
    Ok(())
}

fn what_the_device_writes_is_ignored_on_input() -> Result<()> {
    let map = new_map()?;
    for command in [ElemCommand::Update, ElemCommand::Lookup] {
        let mut attempt = RawElem::valid(command, Owner::Current);
        attempt.arg.seq = 77;
        attempt.arg.created = 77;
        attempt.run(&map)?;
        assert_eq!(attempt.arg.seq, 1, "{command:?}");
        assert_eq!(
            attempt.arg.created,
            u32::from(command == ElemCommand::Update)
        );
    }
    Ok(())
}

fn maps_are_apart() -> Result<()> {
    let (one, other) = (new_map()?, new_map()?);
    one.update(Owner::Current, &value(1), Mode::Any)?;
    assert_refused(other.get(Owner::Current), Errno::ENOENT);
    other.update(Owner::Current, &value(2), Mode::Any)?;
    one.delete(Owner::Current)?;
    assert_eq!(other.get(Owner::Current)?.value, value(2));
    Ok(())
}

fn owners_are_apart() -> Result<()> {
    let map = new_map()?;
    let children = (0..64)
        .map(|_| Child::idle())
        .collect::<nix::Result<Vec<_>>>()?;
    for (i, child) in (0..).zip(&children) {
        map.update(Owner::task(child), &value(i), Mode::NoExist)?;
    }
    for child in children.iter().step_by(2) {
        map.delete(Owner::task(child))?;
    }
    for (i, child) in (0..).zip(&children) {
        if i % 2 == 0 {
            assert_refused(map.get(Owner::task(child)), Errno::ENOENT);
        } else {
            assert_eq!(map.get(Owner::task(child))?.value, value(i));
        }
    }
    Ok(())
}

fn one_owner_in_many_maps() -> Result<()> {
    let child = Child::idle()?;
    let maps = (0..100).map(|_| new_map()).collect::<Result<Vec<_>, _>>()?;
    for (i, map) in (0..).zip(&maps) {
        map.update(Owner::task(&child), &value(i), Mode::NoExist)?;
    }
    for (i, map) in (0..).zip(&maps) {
        assert_eq!(map.get(Owner::task(&child))?.value, value(i));
    }
    Ok(())
}
