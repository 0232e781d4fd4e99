// SPDX-License-Identifier: GPL-2.0
//! What the tool prints: tables and lines for a person, JSON for a program.

use std::io::{stderr, stdout};

use anyhow::Result;
use nix::errno::Errno;
use ostor::device::{self, Kind};
use ostor::text::{columns, wrapped};
use serde::Serialize;
use serde_json::{Map, Value, json};

pub(crate) use ostor::text::{brief, grouped, table, time, verdict};

use crate::exit::Exit;

/// Where results go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// A line for a person only.
    pub(crate) fn line(&self, text: impl AsRef<str>) {
        if !self.json {
            println!("{}", wrapped(text.as_ref(), columns(stdout())));
        }
    }

    /// A result: `value` for a program, `text` for a person, if it says anything.
    pub(crate) fn result(&self, value: impl Serialize, text: impl AsRef<str>) -> Result<()> {
        if self.json {
            println!("{}", serde_json::to_string_pretty(&value)?);
        } else if !text.as_ref().is_empty() {
            self.line(text);
        }
        Ok(())
    }

    /// The same, where the text is data and stays in one line, however long.
    pub(crate) fn data(&self, value: impl Serialize, text: &str) -> Result<()> {
        if self.json {
            return self.result(value, text);
        }
        println!("{text}");
        Ok(())
    }

    /// The figures of a structure of the device, one a line.
    pub(crate) fn figures(&self, figures: &impl Serialize) -> Result<()> {
        let figures = figures_of(figures)?;
        let width = figures.keys().map(String::len).max().unwrap_or(0);
        let lines = figures
            .iter()
            .map(|(name, value)| format!("{name:width$}  {}", figure_text(value)));
        let text = lines.collect::<Vec<_>>().join("\n");
        self.result(figures, text)
    }

    /// An error, on standard error.
    pub(crate) fn error(&self, error: &anyhow::Error, exit: Exit) {
        if self.json {
            let errno = error
                .downcast_ref::<device::Error>()
                .map(|e| format!("{:?}", e.errno()));
            let status = exit as u8;
            eprintln!(
                "{}",
                json!({ "error": format!("{error:#}"), "errno": errno, "status": status })
            );
        } else {
            complain(&format!("{error:#}"));
        }
    }
}

/// What is wrong, on standard error.
pub(crate) fn complain(text: &str) {
    eprintln!("{}", wrapped(&format!("ostor: {text}"), columns(stderr())));
}

/// The fields of a structure of the device that say something.
fn figures_of(figures: &impl Serialize) -> Result<Map<String, Value>> {
    let Value::Object(mut fields) = serde_json::to_value(figures)? else {
        anyhow::bail!("not a structure");
    };
    fields.retain(|name, _| !["reserved", "pad"].contains(&name.as_str()));
    for (name, value) in &mut fields {
        let names = match name.as_str() {
            "kinds" => kind_names(value).into(),
            "flags" => flag_names(value).into(),
            "refused" => refused_kinds(value),
            _ => continue,
        };
        *value = names;
    }
    Ok(fields)
}

/// A figure as a person reads it: a number, or names.
fn figure_text(value: &Value) -> String {
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
        number => number.to_string(),
    }
}

/// The kinds that are not served, each with the error that says why.
fn refused_kinds(errnos: &Value) -> Value {
    let errno = |kind: Kind| {
        let errno = errnos.get(kind.to_uapi() as usize)?.as_i64()?;
        let errno = i32::try_from(errno).ok().filter(|errno| *errno != 0)?;
        Some((
            kind.name().to_owned(),
            json!(format!("{:?}", Errno::from_raw(errno))),
        ))
    };
    Value::Object(Kind::ALL.into_iter().filter_map(errno).collect())
}

/// The names of the kinds in a set.
fn kind_names(set: &Value) -> Vec<&'static str> {
    let set = set.as_u64().and_then(|set| u32::try_from(set).ok());
    Kind::in_set(set.unwrap_or(0)).map(Kind::name).collect()
}

/// The names of a map's flags.
fn flag_names(flags: &Value) -> Vec<&'static str> {
    let is_set = |flag: u32| {
        flags
            .as_u64()
            .is_some_and(|bits| bits & u64::from(flag) != 0)
    };
    let names = [
        (uapi::OSTOR_MAP_CLONE, "clone"),
        (uapi::OSTOR_MAP_BUSY, "busy"),
    ];
    let set = names.into_iter().filter(|(flag, _)| is_set(*flag));
    set.map(|(_, name)| name).collect()
}

/// Asserts that a table fits where there is no terminal, and none of its text is
/// broken for that.
#[cfg(test)]
#[track_caller]
pub(crate) fn assert_fits(mut table: comfy_table::Table) {
    table.set_content_arrangement(comfy_table::ContentArrangement::Disabled);
    for line in table.lines() {
        let columns = line.chars().count();
        assert!(columns <= ostor::text::COLUMNS, "{columns}:\n{table}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_keep_their_order_and_leave_out_what_says_nothing() {
        let stats = uapi::ostor_stats {
            late_free: 7,
            kinds: Kind::Task.bit() | Kind::Netns.bit(),
            refused: [0, 0, 95, 61, 0, 0, 0, 0],
            ..Default::default()
        };
        let figures = figures_of(&stats).unwrap();
        assert_eq!(figures.keys().next().unwrap(), "maps");
        assert_eq!(figures["late_free"], 7);
        assert_eq!(figures["kinds"], json!(["task", "netns"]));
        assert_eq!(figure_text(&figures["kinds"]), "task, netns");
        let refused = json!({ "cgroup": "EOPNOTSUPP", "socket": "ENODATA" });
        assert_eq!(figures["refused"], refused);
        assert_eq!(
            figure_text(&figures["refused"]),
            "cgroup (EOPNOTSUPP), socket (ENODATA)"
        );
        assert_eq!(figure_text(&json!({})), "none");
        assert!(!figures.contains_key("reserved") && !figures.contains_key("pad"));
    }

    #[test]
    fn flags_are_named() {
        let mut info = uapi::ostor_map_info::default();
        assert_eq!(figure_text(&figures_of(&info).unwrap()["flags"]), "none");
        info.flags = uapi::OSTOR_MAP_CLONE;
        assert_eq!(figures_of(&info).unwrap()["flags"], json!(["clone"]));
        info.flags |= uapi::OSTOR_MAP_BUSY;
        let both = figures_of(&info).unwrap();
        assert_eq!(figure_text(&both["flags"]), "clone, busy");
    }
}
