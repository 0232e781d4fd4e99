// SPDX-License-Identifier: GPL-2.0
//! The fields of the device's structures of counts, with their meanings.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Result;
use nix::errno::Errno;
use ostor::device::{self, Kind};
use ostor::text::{grouped, table};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// Fields without a meaning.
const RESERVED: [&str; 1] = ["reserved"];

/// The meanings of the fields of `struct ostor_stats`.
const STATS: &[(&str, &str)] = &[
    ("maps", "open maps"),
    ("elements", "elements that are not freed yet"),
    ("storages", "storages of owners that are not freed yet"),
    ("bytes", "memory of these maps, elements and storages"),
    (
        "allocated",
        "elements allocated since the module was loaded",
    ),
    ("dropped", "values dropped since then"),
    ("freed", "elements freed since then"),
    ("owner_deaths", "owners that died with values"),
    (
        "late_free",
        "deaths that only the backstop noticed; must be 0",
    ),
    ("deferred", "unlinkings left to the reaper"),
    ("finished", "unlinkings that the reaper has finished"),
    ("stale", "deaths that no notice reported; must be 0"),
    ("charged", "bytes of option memory charged to sockets"),
    (
        "omem_left",
        "bytes left charged to freed sockets; must be 0",
    ),
    ("kinds", "(served)"),
    ("bpf", "(whether BPF programs can use the maps)"),
    ("uncharged", "allocations not charged to a memory cgroup"),
    ("shared", "notices while others traced the same function"),
    ("refused", "(not served, and why)"),
    ("pending", "dead objects that wait for a grace period"),
    ("pending_bytes", "memory of these"),
];

/// The meanings of the fields of `struct ostor_map_info`.
const MAP_INFO: &[(&str, &str)] = &[
    ("value_size", "bytes per value"),
    ("element_size", "bytes per element, with its value"),
    ("buckets", "buckets of the table"),
    ("flags", "(how the map was created)"),
    ("name", "(in the kernel)"),
    ("id", "number of the map"),
    ("elements", "live elements"),
    ("pending", "deleted elements that are not freed yet"),
    ("bytes", "memory of the map and its elements"),
    ("created", "elements created since the map was"),
    ("deleted", "elements deleted by a command"),
    ("replaced", "elements replaced by an update"),
    ("owner_deaths", "elements that ended with their owner"),
    ("deadlocks", "commands that failed with EDEADLK"),
    ("timeouts", "commands that failed with ETIMEDOUT"),
    ("nomem", "commands that failed with ENOMEM"),
    ("deferred", "unlinkings left to the reaper"),
    ("clones", "copies made for accepted sockets"),
    ("clone_failures", "copies that failed"),
];

/// The fields of a structure, with sets and flags as names.
pub(crate) struct Figures {
    fields: Map<String, Value>,
    meanings: HashMap<&'static str, &'static str>,
}

impl Figures {
    /// The module's statistics.
    pub(crate) fn of_stats(stats: &uapi::ostor_stats) -> Result<Self> {
        Self::new(stats, STATS)
    }

    /// A map's sizes and counts.
    pub(crate) fn of_map(info: &uapi::ostor_map_info) -> Result<Self> {
        Self::new(info, MAP_INFO)
    }

    fn new(structure: &impl Serialize, meanings: &[(&'static str, &'static str)]) -> Result<Self> {
        let Value::Object(mut fields) = serde_json::to_value(structure)? else {
            anyhow::bail!("not a structure");
        };
        fields.retain(|name, _| !RESERVED.contains(&name.as_str()));
        for (name, value) in &mut fields {
            let names = match name.as_str() {
                "kinds" => kind_names(value).into(),
                "flags" => flag_names(value).into(),
                "name" => name_of(value).into(),
                "refused" => refused_kinds(value),
                "bpf" => (value.as_u64() == Some(1)).into(),
                _ => continue,
            };
            *value = names;
        }
        let meanings = meanings.iter().copied().collect();
        Ok(Self { fields, meanings })
    }

    /// The fields as JSON.
    pub(crate) fn json(&self) -> &Map<String, Value> {
        &self.fields
    }

    /// A line for each field: its name, value and meaning.
    pub(crate) fn lines(&self) -> String {
        let line = |(name, value): (&String, &Value)| {
            let line = format!("{name:14} {:11} {}", text_of(value), self.meaning(name));
            line.trim_end().to_owned()
        };
        self.fields.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    /// A table of the numbers, with their change per second since `before`.
    pub(crate) fn changes(&self, before: Option<(&Self, Duration)>) -> String {
        let row = |(name, value): (&String, &Value)| {
            let value = value.as_u64()?;
            let change = before.and_then(|(before, time)| {
                let change = value as f64 - before.fields.get(name)?.as_u64()? as f64;
                Some(per_second(change, time))
            });
            let meaning = self.meaning(name).to_owned();
            Some([
                name.clone(),
                grouped(value),
                change.unwrap_or_default(),
                meaning,
            ])
        };
        let head = ["figure", "value", "per second", "meaning"];
        table(head, self.fields.iter().filter_map(row)).to_string()
    }

    fn meaning(&self, name: &str) -> &'static str {
        self.meanings.get(name).copied().unwrap_or_default()
    }
}

/// A change as a rate; no text if there is none.
fn per_second(change: f64, time: Duration) -> String {
    let rate = (change / time.as_secs_f64().max(f64::MIN_POSITIVE)).round();
    match rate {
        0.0 if change == 0.0 => String::new(),
        rate if rate < 0.0 => format!("-{}", grouped(-rate as u64)),
        rate => grouped(rate as u64),
    }
}

/// The text of a field: a number, or names.
fn text_of(value: &Value) -> String {
    match value {
        Value::Array(names) if names.is_empty() => "none".to_owned(),
        Value::Array(names) => {
            let names: Vec<_> = names.iter().filter_map(Value::as_str).collect();
            names.join(", ")
        }
        Value::Object(names) if names.is_empty() => "none".to_owned(),
        Value::Object(names) => {
            let pairs = names
                .iter()
                .filter_map(|(name, of)| Some((name, of.as_str()?)));
            let pairs: Vec<_> = pairs.map(|(name, of)| format!("{name} ({of})")).collect();
            pairs.join(", ")
        }
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(text) if text.is_empty() => "none".to_owned(),
        Value::String(text) => text.clone(),
        number => number.to_string(),
    }
}

/// The kinds of owners that this kernel does not serve, each with the errno value that
/// says why.
fn refused_kinds(errnos: &Value) -> Value {
    let errno = |kind: Kind| {
        let errno = errnos.get(kind as usize)?.as_i64()?;
        let errno = i32::try_from(errno).ok().filter(|errno| *errno != 0)?;
        Some((
            kind.name().to_owned(),
            json!(format!("{:?}", Errno::from_raw(errno))),
        ))
    };
    Value::Object(Kind::ALL.into_iter().filter_map(errno).collect())
}

/// The names of the kinds in a bit set.
fn kind_names(set: &Value) -> Vec<&'static str> {
    let set = set.as_u64().and_then(|set| u32::try_from(set).ok());
    Kind::in_set(set.unwrap_or(0)).map(Kind::name).collect()
}

/// The text of a name, which is an array of bytes.
fn name_of(bytes: &Value) -> String {
    let bytes = bytes.as_array().map(Vec::as_slice).unwrap_or_default();
    let bytes = bytes.iter().filter_map(Value::as_u64);
    let bytes: Vec<_> = bytes.filter_map(|byte| u8::try_from(byte).ok()).collect();
    device::text_of(&bytes)
}

/// The names of a map's flags.
fn flag_names(flags: &Value) -> Vec<&'static str> {
    let is_set = |flag: u32| {
        flags
            .as_u64()
            .is_some_and(|bits| bits & u64::from(flag) != 0)
    };
    let names = [(uapi::OSTOR_MAP_CLONE, "clone")];
    let set = names.into_iter().filter(|(flag, _)| is_set(*flag));
    set.map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use ostor::text::COLUMNS;

    use super::*;

    fn stats() -> Figures {
        let stats = uapi::ostor_stats {
            late_free: 7,
            bpf: 1,
            kinds: Kind::Task.bit() | Kind::Netns.bit(),
            refused: [0, 0, 95, 61, 0, 0, 0, 0],
            ..Default::default()
        };
        Figures::of_stats(&stats).unwrap()
    }

    fn map() -> Figures {
        let mut name = [0; uapi::OSTOR_NAME_SIZE as usize];
        name[..7].copy_from_slice(b"colours");
        let info = uapi::ostor_map_info {
            name,
            flags: uapi::OSTOR_MAP_CLONE,
            bytes: 123_456_789,
            ..Default::default()
        };
        Figures::of_map(&info).unwrap()
    }

    #[test]
    fn fields_keep_their_order_and_reserved_ones_are_left_out() {
        let stats = stats();
        let fields = stats.json();
        assert_eq!(fields.keys().next().unwrap(), "maps");
        assert_eq!(fields["late_free"], 7);
        assert_eq!(fields["kinds"], json!(["task", "netns"]));
        let refused = json!({ "cgroup": "EOPNOTSUPP", "socket": "ENODATA" });
        assert_eq!(fields["refused"], refused);
        assert_eq!(fields["bpf"], true);
        assert!(!fields.contains_key("reserved"));
        assert_eq!(map().json()["flags"], json!(["clone"]));
        assert_eq!(map().json()["name"], "colours");
    }

    #[test]
    fn every_field_has_a_meaning() {
        for figures in [stats(), map()] {
            for name in figures.json().keys() {
                assert!(!figures.meaning(name).is_empty(), "{name}");
            }
            assert_eq!(figures.fields.len(), figures.meanings.len());
        }
    }

    #[test]
    fn lines_fit_and_begin_with_name_and_value() {
        let text = stats().lines();
        assert!(
            text.contains("\nlate_free      7           deaths that"),
            "{text}"
        );
        assert!(
            text.contains("\nkinds          task, netns (served)"),
            "{text}"
        );
        let refused = "\nrefused        cgroup (EOPNOTSUPP), socket (ENODATA) (not served";
        assert!(text.contains(refused), "{text}");
        assert!(
            text.contains("\nbpf            yes         (whether BPF"),
            "{text}"
        );
        for text in [text, map().lines(), map().changes(None)] {
            assert!(text.lines().all(|line| line.len() <= COLUMNS), "{text}");
        }
        let none = Figures::of_map(&Default::default()).unwrap().lines();
        assert!(none.contains("\nflags          none "), "{none}");
    }

    #[test]
    fn changes_are_per_second() {
        let mut after = stats();
        after.fields["late_free"] = 107.into();
        let text = after.changes(Some((&stats(), Duration::from_secs(2))));
        let row = text
            .lines()
            .find(|line| line.contains("late_free"))
            .unwrap();
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        assert_eq!(cells[2..4], ["107", "50"], "{text}");
        let text = stats().changes(Some((&after, Duration::from_secs(2))));
        assert!(text.contains("-50"), "{text}");
        assert_eq!(per_second(0.0, Duration::ZERO), "");
        assert_eq!(per_second(0.4, Duration::from_secs(1)), "0");
    }
}
