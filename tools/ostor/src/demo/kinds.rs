// SPDX-License-Identifier: GPL-2.0
//! The demo's act on all kinds of owners, side by side: in the same two maps,
//! with the same commands.

use std::time::Instant;

use anyhow::Result;
use ostor::device::{self, Kind, Map, Mode, list_owner};
use ostor::object::Object;
use ostor::settle;
use serde::Serialize;
use uapi::ostor_stats;

use super::report::{Report, Verdict};

/// How many owners of each kind.
const COUNT: usize = 8;

/// Bytes per value.
const VALUE_SIZE: u32 = 32;

/// What came out for one kind of owners.
#[derive(Serialize)]
pub(crate) struct KindRow {
    kind: Kind,
    /// How many of the owners' values were right after each command.
    stored: usize,
    read: usize,
    updated: usize,
    in_the_maps_list: usize,
    in_its_own_list: usize,
    /// What the owners' end came to, or why there were none.
    end: String,
    pub(crate) verdict: Verdict,
}

impl KindRow {
    pub(crate) const HEAD: [&str; 8] = [
        "owners",
        "store",
        "read",
        "update",
        "list the map",
        "list the owner",
        "end of the owners",
        "",
    ];

    pub(crate) fn cells(&self) -> [String; 8] {
        let count = |right: usize| match self.verdict {
            Verdict::Skipped => "-".to_owned(),
            _ => format!("{right} of {COUNT}"),
        };
        [
            name(self.kind).to_owned(),
            count(self.stored),
            count(self.read),
            count(self.updated),
            count(self.in_the_maps_list),
            count(self.in_its_own_list),
            self.end.clone(),
            self.verdict.cell().to_owned(),
        ]
    }

    /// As it is told when it has happened.
    pub(crate) fn line(&self) -> String {
        let what = match self.verdict {
            Verdict::Skipped => String::new(),
            _ => " stored, read, updated, listed by map and by owner,".to_owned(),
        };
        format!(
            "values of {}:{what} {}{}",
            name(self.kind),
            self.end,
            self.verdict.remark()
        )
    }
}

/// All commands on all kinds of owners.
pub(super) fn side_by_side(before: &ostor_stats, report: &mut Report<'_>) -> Result<()> {
    let maps = [Map::create(VALUE_SIZE)?, Map::create(VALUE_SIZE)?];
    for kind in Kind::ALL {
        report.kind(if kind.is_served(before) {
            act(kind, &maps)?
        } else {
            skipped(kind)
        });
    }
    Ok(())
}

fn skipped(kind: Kind) -> KindRow {
    KindRow {
        kind,
        stored: 0,
        read: 0,
        updated: 0,
        in_the_maps_list: 0,
        in_its_own_list: 0,
        end: kind.why_not_served(),
        verdict: Verdict::Skipped,
    }
}

/// All commands on one kind of owners.
fn act(kind: Kind, maps: &[Map; 2]) -> Result<KindRow> {
    let objects = Object::several(kind, COUNT)?;
    let mut row = skipped(kind);
    row.stored = write(&objects, maps, "value", Mode::NoExist)?;
    row.read = right(&objects, maps, "value")?;
    write(&objects, maps, "update", Mode::Exist)?;
    row.updated = right(&objects, maps, "update")?;
    row.in_the_maps_list = listed_by_map(&objects, &maps[0])?;
    row.in_its_own_list = listed_by_owner(&objects, maps)?;
    let counts = [
        row.stored,
        row.read,
        row.updated,
        row.in_the_maps_list,
        row.in_its_own_list,
    ];
    let gone;
    (row.end, gone) = end(kind, objects, maps)?;
    row.verdict = Verdict::of(gone && counts == [COUNT; 5]);
    Ok(row)
}

/// Stores a value that names the owner for each, in both maps. Returns for how
/// many the commands did what they should.
fn write(objects: &[Object], maps: &[Map; 2], what: &str, mode: Mode) -> Result<usize> {
    let mut right = 0;
    for object in objects {
        let value = value(what, object)?;
        let created = maps.each_ref().map(|map| {
            let elem = map.update(object.owner(), &value, mode)?;
            device::Result::Ok(elem.created == (mode == Mode::NoExist))
        });
        let [one, other] = created;
        right += usize::from(one? && other?);
    }
    Ok(right)
}

/// How many owners have exactly the values they should have.
fn right(objects: &[Object], maps: &[Map; 2], what: &str) -> Result<usize> {
    let mut right = 0;
    for object in objects {
        let value = value(what, object)?;
        let [one, other] = maps.each_ref().map(|map| map.get(object.owner()));
        right += usize::from(one?.value == value && other?.value == value);
    }
    Ok(right)
}

/// How many owners a map lists with their kind, number and value.
fn listed_by_map(objects: &[Object], map: &Map) -> Result<usize> {
    let items = map.list()?;
    let mut right = 0;
    for object in objects {
        let (id, value) = (object.id()?, value("update", object)?);
        let of_it = items.iter().filter(|item| {
            item.entry.owner_id == id && item.entry.owner_kind == object.kind().to_uapi()
        });
        let values: Vec<_> = of_it.map(|item| &item.value).collect();
        right += usize::from(values == [&value]);
    }
    Ok(right)
}

/// For how many owners the list has exactly the elements in both maps.
fn listed_by_owner(objects: &[Object], maps: &[Map; 2]) -> Result<usize> {
    let device = device::open()?;
    let [one, other] = maps.each_ref().map(Map::info);
    let ids = [one?.id, other?.id];
    let mut right = 0;
    for object in objects {
        let listed: Vec<_> = list_owner(&device, object.owner())?
            .iter()
            .map(|owned| owned.map_id)
            .collect();
        right += usize::from(listed == ids);
    }
    Ok(right)
}

/// Ends the owners, after which their values go without anyone asking. Returns
/// what came out, and whether it was right.
fn end(kind: Kind, objects: Vec<Object>, maps: &[Map; 2]) -> Result<(String, bool)> {
    let before = left(maps)?;
    let values = 2 * objects.len() as u64;
    let start = Instant::now();
    objects.into_iter().try_for_each(Object::end)?;
    settle::until(|| Ok(left(maps)? + values == before))?;
    let ms = start.elapsed().as_millis();
    let gone = before - left(maps)?;
    let how = match kind {
        Kind::Task => "killed and reaped",
        Kind::Cgroup => "removed",
        Kind::Socket => "closed",
        Kind::Netns => "left by all",
    };
    let came_out = format!("{how}: {gone} of {values} values gone in {ms} ms");
    Ok((came_out, gone == values))
}

/// How many values are in the maps.
fn left(maps: &[Map; 2]) -> device::Result<u64> {
    let [one, other] = maps.each_ref().map(Map::info);
    Ok(one?.elements + other?.elements)
}

fn value(what: &str, object: &Object) -> Result<Vec<u8>> {
    let mut value = format!("{what} {} {}", object.kind(), object.id()?).into_bytes();
    value.resize(VALUE_SIZE as usize, 0);
    Ok(value)
}

/// What several owners of a kind are called.
fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Task => "tasks",
        Kind::Cgroup => "cgroups",
        Kind::Socket => "sockets",
        Kind::Netns => "network namespaces",
    }
}
