// SPDX-License-Identifier: GPL-2.0
//! The steps of the demo on all kinds of owners, in the same two maps and with the same
//! operations.

use std::fmt::{self, Display};
use std::time::Instant;

use anyhow::Result;
use comfy_table::Table;
use ostor::device::{self, Kind, Map, Mode, list_owner};
use ostor::object::Object;
use ostor::settle;
use serde::{Serialize, Serializer};
use uapi::ostor_stats;

use super::report::{DemoReport, Verdict};
use ostor::text::table;

/// Number of owners of each kind.
const COUNT: usize = 8;

/// Bytes per value.
const VALUE_SIZE: u32 = 32;

/// The results for one kind of owners.
#[derive(Serialize)]
pub(super) struct KindRow {
    kind: Kind,
    /// Number of owners whose values were right after each operation.
    stored: usize,
    read: usize,
    updated: usize,
    in_the_maps_list: usize,
    in_its_own_list: usize,
    end: End,
    pub(super) verdict: Verdict,
}

/// The end of the owners and of their values.
enum End {
    /// Why there are no such owners.
    NotServed(String),
    Ended {
        /// How the owners were ended.
        how: &'static str,
        /// Number of their values that ended, in how many milliseconds.
        gone: u64,
        values: u64,
        ms: u128,
    },
}

impl Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotServed(why) => f.write_str(why),
            Self::Ended { how, .. } => write!(f, "{how}: {}", self.outcome()),
        }
    }
}

impl Serialize for End {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl End {
    fn outcome(&self) -> String {
        match self {
            Self::NotServed(why) => why.clone(),
            Self::Ended {
                gone, values, ms, ..
            } => format!("{gone} of {values} values gone in {ms} ms"),
        }
    }
}

impl KindRow {
    fn cells(&self) -> [String; 7] {
        let figures = match self.end {
            End::NotServed(_) => [(); 6].map(|()| "-".to_owned()),
            End::Ended { gone, ms, .. } => [
                self.stored.to_string(),
                self.read.to_string(),
                self.updated.to_string(),
                self.in_the_maps_list.min(self.in_its_own_list).to_string(),
                gone.to_string(),
                ms.to_string(),
            ],
        };
        let [store, read, update, list, gone, ms] = figures;
        let owners = self.kind.plural().to_owned();
        [owners, store, read, update, list, gone, ms]
    }

    /// The row as one step: what was tried, and the outcome.
    pub(super) fn as_step(&self) -> (String, String) {
        let owners = self.kind.plural();
        let tried = match self.end {
            End::NotServed(_) => format!("values of {owners}"),
            End::Ended { how, .. } => format!("{COUNT} {owners} {how}"),
        };
        (tried, self.end.outcome())
    }
}

/// The table of all kinds, with its caption.
pub(super) fn as_text(rows: &[KindRow]) -> String {
    format!(
        "{COUNT} owners of each kind, each with a value in two maps. How many had the right\n\
         values after each operation, and how many values ended with their owners:\n{}",
        as_table(rows)
    )
}

fn as_table(rows: &[KindRow]) -> Table {
    let head = ["owners", "store", "read", "update", "list", "gone", "ms"];
    table(head, rows.iter().map(KindRow::cells))
}

/// All operations on all kinds of owners.
pub(super) fn side_by_side(before: &ostor_stats, report: &mut DemoReport<'_>) -> Result<()> {
    let maps = [Map::create(VALUE_SIZE)?, Map::create(VALUE_SIZE)?];
    for kind in Kind::ALL {
        report.kind(if kind.is_served(before) {
            one_kind(kind, &maps)?
        } else {
            skipped(kind)
        })?;
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
        end: End::NotServed(kind.why_not_served()),
        verdict: Verdict::Skipped,
    }
}

/// All operations on one kind of owners.
fn one_kind(kind: Kind, maps: &[Map; 2]) -> Result<KindRow> {
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
    let all_gone;
    (row.end, all_gone) = end(kind, objects, maps)?;
    row.verdict = Verdict::of(all_gone && counts == [COUNT; 5]);
    Ok(row)
}

/// Stores for each owner a value that names it, in both maps. Returns the number of owners
/// for which both stores were right.
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

/// The number of owners that have exactly the values they must have.
fn right(objects: &[Object], maps: &[Map; 2], what: &str) -> Result<usize> {
    let mut right = 0;
    for object in objects {
        let value = value(what, object)?;
        let [one, other] = maps.each_ref().map(|map| map.get(object.owner()));
        right += usize::from(one?.value == value && other?.value == value);
    }
    Ok(right)
}

/// The number of owners that a map lists with their kind, number and value.
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

/// The number of owners whose list has exactly the elements in both maps.
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

/// Ends the owners, whose values then end without a command. Returns the outcome and
/// whether it is right.
fn end(kind: Kind, objects: Vec<Object>, maps: &[Map; 2]) -> Result<(End, bool)> {
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
        Kind::Netns => "closed",
    };
    let end = End::Ended {
        how,
        gone,
        values,
        ms,
    };
    Ok((end, gone == values))
}

/// The number of values in the maps.
fn left(maps: &[Map; 2]) -> device::Result<u64> {
    let [one, other] = maps.each_ref().map(Map::info);
    Ok(one?.elements + other?.elements)
}

fn value(what: &str, object: &Object) -> Result<Vec<u8>> {
    let mut value = format!("{what} {} {}", object.kind(), object.id()?).into_bytes();
    value.resize(VALUE_SIZE as usize, 0);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ostor::text::assert_fits;

    fn ended(kind: Kind) -> KindRow {
        KindRow {
            stored: COUNT,
            read: COUNT,
            updated: COUNT,
            in_the_maps_list: COUNT,
            in_its_own_list: COUNT - 1,
            end: End::Ended {
                how: "closed",
                gone: 16,
                values: 16,
                ms: 20_000,
            },
            verdict: Verdict::Wrong,
            ..skipped(kind)
        }
    }

    #[test]
    fn the_table_fits() {
        let rows = [skipped(Kind::Netns), ended(Kind::Netns)];
        let text = as_text(&rows);
        assert!(text.contains("|    7 |   16 | 20000 |"), "{text}");
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
        assert_fits(as_table(&rows));
    }

    #[test]
    fn an_end_is_a_step_and_json() {
        let row = ended(Kind::Netns);
        let (tried, outcome) = row.as_step();
        assert_eq!(tried, "8 network namespaces closed");
        assert_eq!(outcome, "16 of 16 values gone in 20000 ms");
        let json = serde_json::to_value(&row).unwrap();
        assert_eq!(json["end"], "closed: 16 of 16 values gone in 20000 ms");
        let json = serde_json::to_value(skipped(Kind::Socket)).unwrap();
        assert_eq!(json["end"], Kind::Socket.why_not_served());
    }
}
