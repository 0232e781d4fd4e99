// SPDX-License-Identifier: GPL-2.0
//! The lists that the tool prints: maps, the values in a map, the values of an owner. Each
//! is returned as JSON and as text.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use comfy_table::Table;
use ostor::cgroup;
use ostor::device::{self, Item, Kind, list_maps, list_owner, text_of};
use ostor::text::{brief, table};
use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::{ListArgs, SortKey};
use crate::holder::{self, Held};
use crate::owner_name::{OwnerName, written};
use crate::value::Shown;

/// A map that has a holder.
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

/// A map of any program.
#[derive(Serialize)]
struct OpenMapRow {
    id: u64,
    /// Name in the kernel.
    name: String,
    value_size: u32,
    clone: bool,
    elements: u64,
    pending: u64,
    bytes: u64,
    /// Process that created the map, with its command then. It may have exited.
    creator: u32,
    comm: String,
    /// Holder's name for the map, if it has a holder.
    held_as: Option<String>,
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

/// The maps that have a holder.
pub(crate) fn maps() -> Result<(Value, String)> {
    // Without the module there is no map. An error that says so is better than an empty
    // list.
    device::open()?;
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
    Ok((json!(rows), table_of_maps(&rows).to_string()))
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

/// All open maps.
pub(crate) fn all_maps() -> Result<(Value, String)> {
    let maps = list_maps(&device::open()?)?;
    let held = by_number(holder::all()?)?;
    let rows = maps.iter().map(|map| OpenMapRow {
        id: map.id,
        name: text_of(&map.name),
        value_size: map.value_size,
        clone: clones(map.flags),
        elements: map.elements,
        pending: map.pending,
        bytes: map.bytes,
        creator: map.pid,
        comm: text_of(&map.comm),
        held_as: held.get(&map.id).map(|held| held.name.clone()),
    });
    let rows: Vec<_> = rows.collect();
    Ok((json!(rows), table_of_open_maps(&rows).to_string()))
}

fn table_of_open_maps(rows: &[OpenMapRow]) -> Table {
    let cells = rows.iter().map(|row| {
        [
            row.id.to_string(),
            // The holder's name is the longer one, and the one that commands take.
            row.held_as.as_ref().unwrap_or(&row.name).clone(),
            row.value_size.to_string(),
            brief(row.elements),
            brief(row.bytes),
            format!("{} {}", row.creator, row.comm).trim().to_owned(),
        ]
    });
    let head = ["number", "name", "size", "elements", "bytes", "created by"];
    table(head, cells)
}

/// The values in a map or those of an owner.
pub(crate) fn list(args: &ListArgs) -> Result<(Value, String)> {
    match &args.owner {
        Some(owner) => of_owner(owner),
        None => of_map(args),
    }
}

/// The values in a map.
fn of_map(args: &ListArgs) -> Result<(Value, String)> {
    let map = args.map.as_deref().unwrap_or_default();
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
    let all = rows.len();
    let rows = chosen(rows, args);
    let mut text = table_of_elements(&rows).to_string();
    if rows.len() < all {
        text.push_str(&format!("\n{} of {all} values", rows.len()));
    }
    Ok((json!(rows), text))
}

/// The rows that the options choose, in their order.
fn chosen(mut rows: Vec<ElementRow>, args: &ListArgs) -> Vec<ElementRow> {
    rows.retain(|row| {
        let is_kind =
            args.kind.is_empty() || row.kind.is_some_and(|kind| args.kind.contains(&kind));
        is_kind && args.contains.as_ref().is_none_or(|text| row.contains(text))
    });
    if let Some(key) = args.sort {
        rows.sort_by(|one, other| one.compare(other, key));
    }
    if args.reverse {
        rows.reverse();
    }
    rows.truncate(args.limit.unwrap_or(usize::MAX));
    rows
}

impl ElementRow {
    /// Whether a text is part of the owner, its name or the value.
    fn contains(&self, text: &str) -> bool {
        let name = self.name.as_deref().unwrap_or_default();
        [&self.owner, name, &self.value.line()]
            .iter()
            .any(|cell| cell.contains(text))
    }

    fn compare(&self, other: &Self, key: SortKey) -> Ordering {
        let kind = |row: &Self| row.kind.map_or(u32::MAX, Kind::to_uapi);
        match key {
            SortKey::Owner => (kind(self), self.id).cmp(&(kind(other), other.id)),
            SortKey::Name => self.name.cmp(&other.name),
            SortKey::Seq => self.seq.cmp(&other.seq),
            SortKey::Value => self.value.hex.cmp(&other.value.hex),
        }
    }
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

/// The values of an owner in all maps. Only maps that have a holder can be read.
fn of_owner(owner: &OwnerName) -> Result<(Value, String)> {
    let owner = owner.find()?;
    let elements = list_owner(&device::open()?, owner.owner())?;
    let held = by_number(holder::all()?)?;
    let mut rows = Vec::new();
    for element in elements {
        let held = held.get(&element.map_id);
        // The value may have been deleted since the owner was listed.
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
    Ok((json!(rows), table_of_owned(&rows).to_string()))
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

/// The path of a cgroup relative to the mount of cgroup v2, as `cgroup:PATH` takes it; any
/// other name unchanged.
fn below_the_mount(name: &str) -> &str {
    let below = name.strip_prefix(cgroup::MOUNT);
    below
        .and_then(|path| path.strip_prefix('/'))
        .unwrap_or(name)
}

/// Maps by their numbers.
fn by_number(held: Vec<Held>) -> Result<HashMap<u64, Held>> {
    let numbered = held.into_iter().map(|held| Ok((held.map.info()?.id, held)));
    numbered.collect()
}

/// Whether a map copies values on accept.
fn clones(flags: u32) -> bool {
    flags & uapi::OSTOR_MAP_CLONE != 0
}

fn yes(is_so: bool) -> String {
    if is_so { "yes" } else { "" }.to_owned()
}

/// The names of owners that still exist.
#[derive(Default)]
struct Names {
    /// The paths of cgroups by id, read when the first is needed.
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

/// The cgroups below the mount of cgroup v2.
fn cgroups_by_id() -> HashMap<u64, PathBuf> {
    let mut found = HashMap::new();
    let mut left = vec![Path::new(cgroup::MOUNT).to_owned()];
    while let Some(path) = left.pop() {
        // A cgroup that is removed meanwhile is left out.
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
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};
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
    fn all_maps_fit() {
        let row = |held_as| OpenMapRow {
            id: 12_345,
            name: "latency_of_requ".into(),
            value_size: 8064,
            clone: true,
            elements: 1_000_000,
            pending: 7,
            bytes: 128_000_000,
            creator: 4_194_303,
            comm: "kworker/u8:2-ev".into(),
            held_as,
        };
        let text = table_of_open_maps(&[row(None), row(Some("a-name".into()))]);
        assert!(text.to_string().contains("| a-name "), "{text}");
        assert_fits(table_of_open_maps(&[row(None)]));
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
    fn options_choose_rows_and_their_order() {
        let row = |kind: Kind, id, name: &str, seq, value: &[u8]| ElementRow {
            kind: Some(kind),
            id,
            owner: written(kind.to_uapi(), id),
            name: Some(name.to_owned()),
            seq,
            value: Shown::new(value),
        };
        let seqs = |options: &str| {
            let rows = vec![
                row(Kind::Cgroup, 3, "a/b", 4, b"green"),
                row(Kind::Task, 20, "sh", 1, b"red"),
                row(Kind::Task, 9, "init", 7, b"blue"),
            ];
            let words = ["ostor", "list", "-m", "m"].into_iter();
            let words = words.chain(options.split_whitespace());
            let cli = Cli::try_parse_from(words).unwrap();
            let Command::List(args) = cli.command else {
                panic!("not a list");
            };
            let rows = chosen(rows, &args);
            rows.iter().map(|row| row.seq).collect::<Vec<_>>()
        };
        for (options, wanted) in [
            ("", [4, 1, 7].as_slice()),
            ("--sort owner", &[7, 1, 4]),
            ("--sort name", &[4, 7, 1]),
            ("--sort seq", &[1, 4, 7]),
            ("--sort value", &[7, 4, 1]),
            ("--sort seq --reverse", &[7, 4, 1]),
            ("--sort seq --limit 2", &[1, 4]),
            ("--kind task", &[1, 7]),
            ("--kind task --kind cgroup", &[4, 1, 7]),
            ("--contains re", &[4, 1]),
            ("--contains a/b", &[4]),
            ("--contains tid:9", &[7]),
            ("--contains nothing", &[]),
        ] {
            assert_eq!(seqs(options), wanted, "{options}");
        }
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
