// SPDX-License-Identifier: GPL-2.0
//! What the tool lists: maps, a map's values, an owner's values.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use comfy_table::Table;
use ostor::cgroup;
use ostor::device::{self, Item, Kind, list_owner};
use serde::Serialize;

use crate::cli::ListArgs;
use crate::holder::{self, Held};
use crate::owner_name::{OwnerName, written};
use crate::value::Shown;
use ostor::exit::Exit;
use ostor::output::Output;
use ostor::text::table;

/// A map that has a name.
#[derive(Serialize)]
struct MapRow {
    name: String,
    id: u64,
    value_size: u32,
    clone: bool,
    elements: u64,
    bytes: u64,
    holder: i32,
}

/// A value in a map.
#[derive(Serialize)]
struct ElementRow {
    kind: Option<Kind>,
    id: u64,
    owner: String,
    name: Option<String>,
    seq: u64,
    #[serde(flatten)]
    value: Shown,
}

/// An owner's value in a map.
#[derive(Serialize)]
struct OwnedRow {
    map: u64,
    name: Option<String>,
    seq: u64,
    value_size: u32,
    clone: bool,
    value: Option<Shown>,
}

/// `ostor map ls`
pub(crate) fn maps(output: &Output) -> Result<()> {
    let mut rows = Vec::new();
    for held in holder::all()? {
        let info = held.map.info()?;
        rows.push(MapRow {
            name: held.name,
            id: info.id,
            value_size: info.value_size,
            clone: clones(info.flags),
            elements: info.elements,
            bytes: info.bytes,
            holder: held.pid,
        });
    }
    output.result(&rows, table_of_maps(&rows).to_string())
}

fn table_of_maps(rows: &[MapRow]) -> Table {
    let cells = rows.iter().map(|row| {
        [
            row.name.clone(),
            row.id.to_string(),
            row.value_size.to_string(),
            yes(row.clone),
            row.elements.to_string(),
            row.bytes.to_string(),
            row.holder.to_string(),
        ]
    });
    let head = [
        "name", "number", "size", "clone", "elements", "bytes", "holder",
    ];
    table(head, cells)
}

/// `ostor list`
pub(crate) fn list(args: &ListArgs, output: &Output) -> Result<Exit> {
    match (&args.owner, &args.map) {
        (Some(owner), _) => of_owner(owner, output)?,
        (None, map) => of_map(map.as_deref().unwrap_or_default(), output)?,
    }
    Ok(Exit::Ok)
}

/// The values in a map.
fn of_map(map: &str, output: &Output) -> Result<()> {
    let items = holder::find(map)?.list()?;
    let mut names = Names::default();
    let row = |item: &Item| ElementRow {
        kind: Kind::from_uapi(item.entry.owner_kind),
        id: item.entry.owner_id,
        owner: written(item.entry.owner_kind, item.entry.owner_id),
        name: names.of(item),
        seq: item.entry.seq,
        value: Shown::new(&item.value),
    };
    let rows: Vec<_> = items.iter().map(row).collect();
    output.result(&rows, table_of_elements(&rows).to_string())
}

fn table_of_elements(rows: &[ElementRow]) -> Table {
    let cells = rows.iter().map(|row| {
        let name = row.name.as_deref().unwrap_or_default();
        [
            row.kind.map_or("unknown", Kind::name).to_owned(),
            row.owner.clone(),
            below_the_mount(name).to_owned(),
            row.seq.to_string(),
            row.value.line(),
        ]
    });
    table(["kind", "owner", "name", "seq", "value"], cells)
}

/// An owner's values in all maps. Only those in maps that have a name can be
/// read.
fn of_owner(owner: &OwnerName, output: &Output) -> Result<()> {
    let owner = owner.find()?;
    let elements = list_owner(&device::open()?, owner.owner())?;
    let held = by_number(holder::all()?)?;
    let mut rows = Vec::new();
    for element in elements {
        let held = held.get(&element.map_id);
        // The value may have gone since it was listed.
        let value = held.and_then(|held| held.map.get(owner.owner()).ok());
        rows.push(OwnedRow {
            map: element.map_id,
            name: held.map(|held| held.name.clone()),
            seq: element.seq,
            value_size: element.value_size,
            clone: clones(element.flags),
            value: value.map(|elem| Shown::new(&elem.value)),
        });
    }
    output.result(&rows, table_of_owned(&rows).to_string())
}

fn table_of_owned(rows: &[OwnedRow]) -> Table {
    let cells = rows.iter().map(|row| {
        [
            row.map.to_string(),
            row.name.clone().unwrap_or_default(),
            row.seq.to_string(),
            row.value_size.to_string(),
            yes(row.clone),
            row.value.as_ref().map(Shown::line).unwrap_or_default(),
        ]
    });
    table(["map", "name", "seq", "size", "clone", "value"], cells)
}

/// The path of a cgroup as `cgroup:PATH` takes it from the mount of cgroup v2; any
/// other name as it is.
fn below_the_mount(name: &str) -> &str {
    let below = name.strip_prefix(cgroup::MOUNT);
    below
        .and_then(|path| path.strip_prefix('/'))
        .unwrap_or(name)
}

/// The maps that have a name, by their numbers.
fn by_number(held: Vec<Held>) -> Result<HashMap<u64, Held>> {
    let numbered = held.into_iter().map(|held| Ok((held.map.info()?.id, held)));
    numbered.collect()
}

/// Whether a map has the flag.
fn clones(flags: u32) -> bool {
    flags & uapi::OSTOR_MAP_CLONE != 0
}

fn yes(is_so: bool) -> String {
    if is_so { "yes" } else { "" }.to_owned()
}

/// What owners are called, where they are called anything and still exist.
#[derive(Default)]
struct Names {
    /// The paths of the cgroups by their ids, once one was asked for.
    cgroups: Option<HashMap<u64, PathBuf>>,
}

impl Names {
    fn of(&mut self, item: &Item) -> Option<String> {
        let id = item.entry.owner_id;
        match Kind::from_uapi(item.entry.owner_kind)? {
            Kind::Task => {
                let name = fs::read_to_string(format!("/proc/{id}/comm")).ok()?;
                Some(name.trim_end().to_owned())
            }
            Kind::Cgroup => {
                let cgroups = self.cgroups.get_or_insert_with(cgroups_by_id);
                Some(cgroups.get(&id)?.display().to_string())
            }
            Kind::Socket | Kind::Netns => None,
        }
    }
}

/// The cgroups that can be seen now.
fn cgroups_by_id() -> HashMap<u64, PathBuf> {
    let mut found = HashMap::new();
    let mut left = vec![Path::new(cgroup::MOUNT).to_owned()];
    while let Some(path) = left.pop() {
        // A cgroup that goes meanwhile has no name any more.
        if let Ok(entries) = fs::read_dir(&path) {
            let directories = entries
                .flatten()
                .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            left.extend(directories.map(|entry| entry.path()));
        }
        if let Ok(id) = cgroup::id_of(&path) {
            found.insert(id, path);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use ostor::text::assert_fits;

    #[test]
    fn the_maps_fit() {
        assert_fits(table_of_maps(&[MapRow {
            name: "latency-of-requests".into(),
            id: 12_345,
            value_size: 8064,
            clone: true,
            elements: 1_000_000,
            bytes: 128_000_000,
            holder: 4_194_303,
        }]));
    }

    #[test]
    fn the_values_of_a_map_fit() {
        let id = 123_456;
        let row = |kind: Kind, name: &str| ElementRow {
            kind: Some(kind),
            id,
            owner: written(kind.to_uapi(), id),
            name: Some(name.into()),
            seq: 123_456,
            value: Shown::new(b"one more 23\0"),
        };
        assert_fits(table_of_elements(&[
            row(Kind::Cgroup, "/sys/fs/cgroup/system.slice/ssh.service"),
            row(Kind::Task, "kworker/u8:2-ev"),
            row(Kind::Socket, ""),
        ]));
    }

    #[test]
    fn the_values_of_an_owner_fit() {
        assert_fits(table_of_owned(&[OwnedRow {
            map: 12_345,
            name: Some("latency-of-requests".into()),
            seq: 1_000_000,
            value_size: 8064,
            clone: true,
            value: Some(Shown::new(&[0xff; 7])),
        }]));
    }

    #[test]
    fn a_cgroup_is_named_from_the_mount_on() {
        for (path, name) in [
            ("/sys/fs/cgroup/a/b", "a/b"),
            ("/sys/fs/cgroup", "/sys/fs/cgroup"),
            ("/sys/fs/cgroups/a", "/sys/fs/cgroups/a"),
            ("sh", "sh"),
        ] {
            assert_eq!(below_the_mount(path), name);
        }
    }
}
