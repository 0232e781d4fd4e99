// SPDX-License-Identifier: GPL-2.0
//! Listing a map, also during changes.

use std::collections::HashMap;
use std::os::fd::AsFd;

use anyhow::Result;
use ostor::device::{Item, Map, Mode, Owner};
use ostor::process::Child;
use ostor::sys::ioctl::{self, Buffer};
use uapi::{ostor_entry, ostor_list};

use crate::concurrent;
use crate::harness::new_map;

crate::suite![
    an_empty_map,
    every_element_once_whatever_the_capacity,
    without_values,
    an_entry_says_what_it_belongs_to,
    what_is_deleted_meanwhile_is_not_listed,
    what_is_replaced_meanwhile_is_listed_once,
    all_that_stay_while_the_map_fills,
    all_that_stay_while_others_come_and_go,
    all_that_stay_while_others_die,
    all_while_all_are_replaced,
    one_while_it_is_replaced,
];

/// Processes, each with its id as its value.
fn populate(map: &Map, count: u64) -> Result<Vec<Child>> {
    let children = (0..count)
        .map(|_| Child::idle())
        .collect::<nix::Result<Vec<_>>>()?;
    for (i, child) in (0..count).zip(&children) {
        map.update(Owner::task(child), &i.to_ne_bytes(), Mode::NoExist)?;
    }
    Ok(children)
}

/// The processes that a listing must have, with their values.
fn expected(children: &[Child]) -> HashMap<u64, u64> {
    (0..)
        .zip(children)
        .map(|(i, child)| (id(child), i))
        .collect()
}

fn id(child: &Child) -> u64 {
    child.pid().as_raw() as u64
}

fn number(item: &Item) -> u64 {
    u64::from_ne_bytes(item.value[..8].try_into().expect("a value has 16 bytes"))
}

/// Asserts that `items` has all that are `expected`, each once.
#[track_caller]
fn assert_each_once(items: &[Item], expected: &HashMap<u64, u64>) {
    let mut left = expected.clone();
    for item in items {
        if expected.contains_key(&item.entry.owner_id) {
            let number_of = left.remove(&item.entry.owner_id);
            assert_eq!(
                number_of,
                Some(number(item)),
                "listed twice or wrongly: {item:?}"
            );
        }
    }
    assert!(left.is_empty(), "not listed: {left:?}");
}

fn all(map: &Map, capacity: u32) -> Result<Vec<Item>> {
    let mut listing = map.listing(capacity);
    let mut items = Vec::new();
    while let Some(part) = listing.next_part()? {
        assert!(part.len() <= capacity as usize);
        items.extend(part);
    }
    Ok(items)
}

fn an_empty_map() -> Result<()> {
    assert_eq!(new_map()?.listing(4).next_part()?, Some(Vec::new()));
    Ok(())
}

fn every_element_once_whatever_the_capacity() -> Result<()> {
    let map = new_map()?;
    let children = populate(&map, 64)?;
    for capacity in [1, 2, 3, 7, 63, 64, 65, uapi::OSTOR_LIST_MAX] {
        let items = all(&map, capacity)?;
        assert_eq!(items.len(), children.len(), "capacity {capacity}");
        assert_each_once(&items, &expected(&children));
    }
    Ok(())
}

fn without_values() -> Result<()> {
    let map = new_map()?;
    let _children = populate(&map, 5)?;
    let mut entries = [ostor_entry::default(); 8];
    let mut arg = ostor_list {
        capacity: 8,
        ..ostor_list::default()
    };
    ioctl::list(
        map.as_fd(),
        &mut arg,
        Buffer::At(&mut entries),
        Buffer::Null,
    )?;
    assert_eq!((arg.count, arg.done), (5, 1));
    assert!(entries[..5].iter().all(|entry| entry.owner_id != 0));
    assert_eq!(entries[5..], [ostor_entry::default(); 3]);
    Ok(())
}

fn an_entry_says_what_it_belongs_to() -> Result<()> {
    let (map, child) = (new_map()?, Child::idle()?);
    map.update(Owner::Current, &[], Mode::Any)?;
    map.delete(Owner::Current)?;
    map.update(Owner::task(&child), b"x", Mode::Any)?;
    let items = map.list()?;
    let expected = ostor_entry {
        owner_id: id(&child),
        seq: 2,
        owner_kind: uapi::OSTOR_KIND_TASK,
        reserved: 0,
    };
    assert_eq!(items.len(), 1);
    assert_eq!(items[0].entry, expected);
    assert_eq!(items[0].value[..2], *b"x\0");
    Ok(())
}

fn what_is_deleted_meanwhile_is_not_listed() -> Result<()> {
    let map = new_map()?;
    let children = populate(&map, 20)?;
    let mut listing = map.listing(5);
    let first = listing.next_part()?.expect("there is a first part");
    assert_eq!(first.len(), 5);
    for child in &children {
        map.delete(Owner::task(child))?;
    }
    while let Some(part) = listing.next_part()? {
        assert_eq!(part, []);
    }
    Ok(())
}

fn what_is_replaced_meanwhile_is_listed_once() -> Result<()> {
    let map = new_map()?;
    let children = populate(&map, 30)?;
    let mut listing = map.listing(4);
    let mut items = Vec::new();
    while let Some(part) = listing.next_part()? {
        items.extend(part);
        replace_all(&map, &children)?;
    }
    assert_eq!(items.len(), children.len());
    assert_each_once(&items, &expected(&children));
    Ok(())
}

fn all_that_stay_while_the_map_fills() -> Result<()> {
    let map = new_map()?;
    let children = populate(&map, 12)?;
    let mut listing = map.listing(3);
    let mut items = Vec::new();
    let mut more = Vec::new();
    while let Some(part) = listing.next_part()? {
        items.extend(part);
        if more.len() < 300 {
            more.extend(populate(&map, 100)?);
        }
    }
    assert_each_once(&items, &expected(&children));
    Ok(())
}

/// Lists the map repeatedly while another thread changes it, and asserts that each listing
/// has each of `children` once.
fn list_while(
    map: &Map,
    children: &[Child],
    passes: u32,
    change: impl FnMut() -> Result<()> + Send,
) -> Result<()> {
    for items in concurrent::look(passes, |pass| all(map, 1 + pass % 5), change)? {
        assert_each_once(&items, &expected(children));
    }
    Ok(())
}

fn all_that_stay_while_others_come_and_go() -> Result<()> {
    let map = new_map()?;
    let children = populate(&map, 40)?;
    let others = (0..24)
        .map(|_| Child::idle())
        .collect::<nix::Result<Vec<_>>>()?;
    list_while(&map, &children, 200, || {
        for other in &others {
            map.update(Owner::task(other), &[], Mode::NoExist)?;
        }
        for other in &others {
            map.delete(Owner::task(other))?;
        }
        Ok(())
    })
}

fn all_that_stay_while_others_die() -> Result<()> {
    let map = new_map()?;
    let children = populate(&map, 40)?;
    list_while(&map, &children, 200, || {
        let other = Child::idle()?;
        map.update(Owner::task(&other), &[], Mode::NoExist)?;
        Ok(other.kill_and_reap()?)
    })
}

fn all_while_all_are_replaced() -> Result<()> {
    let map = new_map()?;
    let children = populate(&map, 40)?;
    list_while(&map, &children, 200, || replace_all(&map, &children))
}

/// The element is replaced as often as possible, so that a listing meets a replacement.
fn one_while_it_is_replaced() -> Result<()> {
    let map = new_map()?;
    let children = populate(&map, 1)?;
    list_while(&map, &children, 10_000, || replace_all(&map, &children))
}

fn replace_all(map: &Map, children: &[Child]) -> Result<()> {
    for (i, child) in (0u64..).zip(children) {
        map.update(Owner::task(child), &i.to_ne_bytes(), Mode::Exist)?;
    }
    Ok(())
}
