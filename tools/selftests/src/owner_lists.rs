// SPDX-License-Identifier: GPL-2.0
//! Listing an owner's elements in all maps, also while maps are created and closed, and
//! refused arguments.

use std::os::fd::AsFd;

use anyhow::Result;
use nix::errno::Errno;
use ostor::device::{self, Map, Mode, Owner, OwnerListing, list_owner};
use ostor::object::tcp_socket;
use ostor::process::Child;
use ostor::sys::ioctl::{self, Buffer};
use uapi::{OSTOR_LIST_MAX, ostor_list_owner, ostor_owned};

use crate::harness::{assert_refused, assert_refused_unchanged, new_map};
use crate::{concurrent, needs};

crate::suite![
    an_owner_without_elements,
    every_element_once_whatever_the_capacity,
    an_entry_says_what_it_is,
    an_entry_has_the_maps_flags,
    any_file_of_the_device_will_do,
    what_is_deleted_meanwhile_is_not_listed,
    what_is_created_meanwhile_may_be_listed,
    what_is_replaced_meanwhile_is_listed_once,
    a_map_that_is_closed_meanwhile,
    those_that_stay_while_maps_come_and_go,
    those_that_stay_while_elements_come_and_go,
    the_dead_own_nothing,
    what_the_device_writes_is_ignored_on_input,
    any_cursor_is_safe,
    refused_arguments,
    refused_buffers,
];

/// Maps in which an owner has an element.
fn populate(owner: Owner<'_>, count: usize) -> Result<Vec<Map>> {
    let mut maps = Vec::new();
    for _ in 0..count {
        let map = new_map()?;
        map.update(owner, b"x", Mode::NoExist)?;
        maps.push(map);
    }
    Ok(maps)
}

fn ids(maps: &[Map]) -> Result<Vec<u64>> {
    maps.iter().map(|map| Ok(map.info()?.id)).collect()
}

fn all(owner: Owner<'_>, capacity: u32) -> Result<Vec<u64>> {
    let device = device::open()?;
    let mut listing = OwnerListing::new(&device, owner, capacity);
    let mut listed = Vec::new();
    while let Some(part) = listing.next_part()? {
        assert!(part.len() <= capacity as usize);
        listed.extend(part.iter().map(|owned| owned.map_id));
    }
    Ok(listed)
}

/// Asserts that a listing is in ascending order and has all that are expected.
#[track_caller]
fn assert_has(listed: &[u64], expected: &[u64]) {
    assert!(listed.is_sorted_by(|a, b| a < b), "{listed:?}");
    for id in expected {
        assert!(listed.contains(id), "{id} is not in {listed:?}");
    }
}

fn an_owner_without_elements() -> Result<()> {
    let (device, child) = (device::open()?, Child::idle()?);
    let mut listing = OwnerListing::new(&device, Owner::task(&child), 4);
    assert_eq!(listing.next_part()?, Some(Vec::new()));
    assert_eq!(listing.next_part()?, None);
    Ok(())
}

fn every_element_once_whatever_the_capacity() -> Result<()> {
    let (child, other) = (Child::idle()?, Child::idle()?);
    let maps = populate(Owner::task(&child), 30)?;
    let _others = populate(Owner::task(&other), 10)?;
    let mut more = populate(Owner::task(&child), 30)?;
    more.reverse();
    let expected = [ids(&maps)?, {
        let mut ids = ids(&more)?;
        ids.sort();
        ids
    }]
    .concat();
    for capacity in [1, 2, 3, 7, 59, 60, 61, OSTOR_LIST_MAX] {
        let listed = all(Owner::task(&child), capacity)?;
        assert_eq!(listed, expected, "capacity {capacity}");
    }
    Ok(())
}

fn an_entry_says_what_it_is() -> Result<()> {
    let child = Child::idle()?;
    let map = Map::create(40)?;
    map.update(Owner::Current, &[], Mode::Any)?;
    map.update(Owner::task(&child), &[], Mode::Any)?;
    map.update(Owner::task(&child), &[], Mode::Exist)?;
    let expected = ostor_owned {
        map_id: map.info()?.id,
        seq: 2,
        value_size: 40,
        flags: 0,
    };
    assert_eq!(list_owner(&map, Owner::task(&child))?, [expected]);
    Ok(())
}

fn an_entry_has_the_maps_flags() -> Result<()> {
    let (map, socket) = (needs::cloning_map()?, tcp_socket()?);
    map.update(Owner::socket(&socket), &[], Mode::Any)?;
    let listed = list_owner(&map, Owner::socket(&socket))?;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].flags, uapi::OSTOR_MAP_CLONE);
    Ok(())
}

fn any_file_of_the_device_will_do() -> Result<()> {
    let child = Child::idle()?;
    let maps = populate(Owner::task(&child), 2)?;
    let other = new_map()?;
    let expected = list_owner(&maps[0], Owner::task(&child))?;
    assert_eq!(expected.len(), 2);
    assert_eq!(list_owner(&other, Owner::task(&child))?, expected);
    assert_eq!(list_owner(&device::open()?, Owner::task(&child))?, expected);
    Ok(())
}

fn what_is_deleted_meanwhile_is_not_listed() -> Result<()> {
    let child = Child::idle()?;
    let maps = populate(Owner::task(&child), 20)?;
    let mut listing = OwnerListing::new(&maps[0], Owner::task(&child), 5);
    assert_eq!(listing.next_part()?.map(|part| part.len()), Some(5));
    for map in &maps {
        map.delete(Owner::task(&child))?;
    }
    while let Some(part) = listing.next_part()? {
        assert_eq!(part, []);
    }
    Ok(())
}

fn what_is_created_meanwhile_may_be_listed() -> Result<()> {
    let child = Child::idle()?;
    let maps = populate(Owner::task(&child), 10)?;
    let mut listing = OwnerListing::new(&maps[0], Owner::task(&child), 3);
    let (mut listed, mut more) = (Vec::new(), Vec::new());
    while let Some(part) = listing.next_part()? {
        listed.extend(part.iter().map(|owned| owned.map_id));
        if more.len() < 30 {
            more.extend(populate(Owner::task(&child), 2)?);
        }
    }
    assert_has(&listed, &ids(&maps)?);
    Ok(())
}

fn what_is_replaced_meanwhile_is_listed_once() -> Result<()> {
    let child = Child::idle()?;
    let maps = populate(Owner::task(&child), 20)?;
    let mut listing = OwnerListing::new(&maps[0], Owner::task(&child), 3);
    let mut listed = Vec::new();
    while let Some(part) = listing.next_part()? {
        listed.extend(part.iter().map(|owned| owned.map_id));
        for map in &maps {
            map.update(Owner::task(&child), b"y", Mode::Exist)?;
        }
    }
    assert_eq!(listed, ids(&maps)?);
    Ok(())
}

fn a_map_that_is_closed_meanwhile() -> Result<()> {
    let child = Child::idle()?;
    let mut maps = populate(Owner::task(&child), 12)?;
    let last = ids(&maps)?[11];
    let device = device::open()?;
    let mut listing = OwnerListing::new(&device, Owner::task(&child), 4);
    assert_eq!(listing.next_part()?.map(|part| part.len()), Some(4));
    // Also the one at the cursor.
    maps.drain(2..11);
    let mut listed = Vec::new();
    while let Some(part) = listing.next_part()? {
        listed.extend(part.iter().map(|owned| owned.map_id));
    }
    assert_eq!(listed, [last]);
    Ok(())
}

/// Lists repeatedly while another thread changes something.
fn list_while(
    owner: Owner<'_>,
    expected: &[u64],
    change: impl FnMut() -> Result<()> + Send,
) -> Result<()> {
    for listed in concurrent::look(200, |pass| all(owner, 1 + pass % 5), change)? {
        assert_has(&listed, expected);
    }
    Ok(())
}

fn those_that_stay_while_maps_come_and_go() -> Result<()> {
    let child = Child::idle()?;
    let owner = Owner::task(&child);
    // Between the maps that stay are numbers of maps that are closed again.
    let mut maps = populate(owner, 40)?;
    let mut number = 0;
    maps.retain(|_| {
        number += 1;
        number % 2 == 0
    });
    list_while(owner, &ids(&maps)?, || populate(owner, 3).map(drop))
}

fn those_that_stay_while_elements_come_and_go() -> Result<()> {
    let child = Child::idle()?;
    let owner = Owner::task(&child);
    let (maps, others) = (populate(owner, 20)?, populate(owner, 5)?);
    let (expected, more) = (ids(&maps)?, populate(owner, 20)?);
    let expected = [expected, ids(&more)?].concat();
    list_while(owner, &expected, || {
        for map in &others {
            map.delete(owner)?;
        }
        for map in maps.iter().chain(&more) {
            map.update(owner, b"z", Mode::Exist)?;
        }
        for map in others.iter().rev() {
            map.update(owner, b"z", Mode::NoExist)?;
        }
        Ok(())
    })
}

fn the_dead_own_nothing() -> Result<()> {
    let child = Child::idle()?;
    let maps = populate(Owner::task(&child), 3)?;
    child.kill_and_reap()?;
    assert_refused(list_owner(&maps[0], Owner::task(&child)), Errno::ESRCH);
    Ok(())
}

const CAPACITY: u32 = 4;

fn valid(owner: Owner<'_>) -> ostor_list_owner {
    ostor_list_owner {
        owner: owner.to_uapi(),
        capacity: CAPACITY,
        ..ostor_list_owner::default()
    }
}

/// Lists into a buffer that is large enough for every argument.
fn list(map: &Map, arg: &mut ostor_list_owner) -> nix::Result<Vec<ostor_owned>> {
    let capacity = arg.capacity.min(2 * OSTOR_LIST_MAX) as usize;
    let mut entries = vec![ostor_owned::default(); capacity];
    ioctl::list_owner(map.as_fd(), arg, Buffer::At(&mut entries))?;
    Ok(entries)
}

fn map_of_one() -> Result<Map> {
    let map = new_map()?;
    map.update(Owner::Current, b"x", Mode::NoExist)?;
    Ok(map)
}

fn what_the_device_writes_is_ignored_on_input() -> Result<()> {
    let map = map_of_one()?;
    let mut arg = ostor_list_owner {
        count: 77,
        done: 77,
        ..valid(Owner::Current)
    };
    let entries = list(&map, &mut arg)?;
    assert_eq!((arg.count, arg.done), (1, 1));
    assert_eq!(entries[0].map_id, map.info()?.id);
    assert_eq!(entries[1..], [ostor_owned::default(); 3]);
    Ok(())
}

fn any_cursor_is_safe() -> Result<()> {
    let map = map_of_one()?;
    let id = map.info()?.id;
    for after in [1, id - 1, id, id + 1, 1 << 32, 1 << 63, u64::MAX] {
        let mut arg = ostor_list_owner {
            after,
            ..valid(Owner::Current)
        };
        list(&map, &mut arg)?;
        assert_eq!(arg.count, u32::from(after < id), "after {after}, id {id}");
        assert_eq!(arg.done, 1);
    }
    Ok(())
}

fn refused_arguments() -> Result<()> {
    let map = map_of_one()?;
    type Change = (&'static str, fn(&mut ostor_list_owner));
    let changes: [Change; 4] = [
        ("capacity 0", |arg| arg.capacity = 0),
        ("a capacity too large", |arg| {
            arg.capacity = OSTOR_LIST_MAX + 1
        }),
        ("reserved", |arg| arg.reserved = 1),
        ("the top bit of reserved", |arg| arg.reserved = 1 << 31),
    ];
    for (what, change) in changes {
        let mut arg = valid(Owner::Current);
        change(&mut arg);
        assert_refused_unchanged(&map, Errno::EINVAL, what, || list(&map, &mut arg).map(drop));
        assert_eq!((arg.after, arg.count, arg.done), (0, 0, 0), "{what}");
    }
    Ok(())
}

fn refused_buffers() -> Result<()> {
    let map = map_of_one()?;
    type Wrong = fn() -> Buffer<'static, ostor_owned>;
    let buffers: [(&str, Errno, Wrong); 4] = [
        ("no entries", Errno::EINVAL, || Buffer::Null),
        ("entries nowhere", Errno::EFAULT, || Buffer::Nowhere),
        ("entries in the kernel", Errno::EFAULT, || Buffer::Kernel),
        ("entries that are read-only", Errno::EFAULT, || {
            Buffer::ReadOnly
        }),
    ];
    for (what, errno, wrong) in buffers {
        assert_refused_unchanged(&map, errno, what, || {
            ioctl::list_owner(map.as_fd(), &mut valid(Owner::Current), wrong())
        });
    }
    Ok(())
}
