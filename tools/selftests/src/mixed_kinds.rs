// SPDX-License-Identifier: GPL-2.0
//! Owners of all kinds in one map.

use std::collections::HashMap;

use anyhow::Result;
use ostor::device::{self, Kind, Map, Mode, list_owner};
use ostor::object::Object;

use crate::harness::{assert_elements_become, new_map};
use crate::needs;

crate::suite![
    all_kinds_are_listed,
    each_ends_alone,
    equal_numbers_of_different_kinds,
];

/// An object of each kind that is served. The first three kinds must be.
fn one_of_each() -> Result<Vec<Object>> {
    for kind in [Kind::Task, Kind::Cgroup, Kind::Socket] {
        needs::kind(kind)?;
    }
    let stats = device::stats()?;
    let kinds = Kind::ALL.into_iter().filter(|kind| kind.is_served(&stats));
    kinds.map(Object::new).collect()
}

fn store(map: &Map, objects: &[Object]) -> Result<()> {
    for object in objects {
        map.update(object.owner(), object.kind().name().as_bytes(), Mode::Any)?;
    }
    Ok(())
}

/// The listing of a map: kind and id of the owner, and the value as text.
fn listed(map: &Map) -> Result<HashMap<(u32, u64), String>> {
    let items = map.list()?;
    let count = items.len();
    let listed: HashMap<_, _> = items
        .into_iter()
        .map(|item| {
            let text = String::from_utf8_lossy(&item.value);
            let key = (item.entry.owner_kind, item.entry.owner_id);
            (key, text.trim_end_matches('\0').to_owned())
        })
        .collect();
    assert_eq!(listed.len(), count, "listed twice");
    Ok(listed)
}

/// The listing that a map must have.
fn expected(objects: &[Object]) -> Result<HashMap<(u32, u64), String>> {
    let entry = |object: &Object| {
        let key = (object.kind().to_uapi(), object.id()?);
        Ok((key, object.kind().name().to_owned()))
    };
    objects.iter().map(entry).collect()
}

fn all_kinds_are_listed() -> Result<()> {
    let (map, objects) = (new_map()?, one_of_each()?);
    store(&map, &objects)?;
    assert_eq!(listed(&map)?, expected(&objects)?);
    objects.into_iter().try_for_each(Object::end)
}

fn each_ends_alone() -> Result<()> {
    let maps = [new_map()?, new_map()?];
    let count = one_of_each()?.len();
    for first in 0..count {
        let mut objects = one_of_each()?;
        objects.rotate_left(first);
        for map in &maps {
            store(map, &objects)?;
        }
        while let Some(object) = objects.pop() {
            object.end()?;
            for map in &maps {
                assert_elements_become(map, objects.len() as u64);
                assert_eq!(listed(map)?, expected(&objects)?);
            }
            for object in &objects {
                assert_eq!(list_owner(&maps[0], object.owner())?.len(), 2);
            }
        }
    }
    Ok(())
}

/// The id of a task, that of a cgroup and the cookie of a socket may be equal.
fn equal_numbers_of_different_kinds() -> Result<()> {
    let map = new_map()?;
    let mut objects = Vec::new();
    for kind in [Kind::Cgroup, Kind::Socket] {
        needs::kind(kind)?;
        objects.extend(Object::several(kind, 60)?);
    }
    store(&map, &objects)?;
    assert_eq!(listed(&map)?, expected(&objects)?);
    objects.into_iter().try_for_each(Object::end)
}
