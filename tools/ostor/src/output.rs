// SPDX-License-Identifier: GPL-2.0
//! What the tools print: tables and lines for a reader, JSON for a program.
//!
//! A failed write is an error of the command and never a panic: `println!` is not used.

use std::io::{self, Write, stderr, stdout};

use anyhow::Result;
use nix::errno::Errno;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::device::{self, Kind};
use crate::exit::{Exit, is_closed_output};
use crate::program;
use crate::text::{columns, wrapped};

/// Where results go.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    json: bool,
}

/// Standard output cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output: {0}")]
pub struct WriteError(pub io::Error);

impl Output {
    /// Prints JSON if `json`, else text.
    pub fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether JSON is printed.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Prints a text, wrapped, that is for a reader only.
    pub fn line(&self, text: impl AsRef<str>) -> Result<()> {
        match self.json {
            true => Ok(()),
            false => print(&wrapped(text.as_ref(), columns(stdout()))),
        }
    }

    /// Prints a result: `value` as JSON, or `text`, wrapped, unless it is empty.
    pub fn result(&self, value: impl Serialize, text: impl AsRef<str>) -> Result<()> {
        if self.json {
            return print(&serde_json::to_string_pretty(&value)?);
        }
        match text.as_ref() {
            "" => Ok(()),
            text => self.line(text),
        }
    }

    /// Prints a result whose text is data and stays one line, however long.
    pub fn data(&self, value: impl Serialize, text: &str) -> Result<()> {
        match self.json {
            true => self.result(value, text),
            false => print(text),
        }
    }

    /// Prints the fields of a structure of the device, one a line.
    pub fn figures(&self, figures: &impl Serialize) -> Result<()> {
        let figures = figures_of(figures)?;
        let width = figures.keys().map(String::len).max().unwrap_or(0);
        let lines = figures
            .iter()
            .map(|(name, value)| format!("{name:width$}  {}", figure_text(value)));
        let text = lines.collect::<Vec<_>>().join("\n");
        self.result(figures, text)
    }

    /// Prints an error on standard error.
    pub fn error(&self, error: &anyhow::Error, exit: Exit) {
        if is_closed_output(error) {
            return;
        }
        if self.json {
            let errno = error
                .downcast_ref::<device::Error>()
                .map(|e| format!("{:?}", e.errno()));
            let status = exit as u8;
            to_stderr(
                &json!({ "error": format!("{error:#}"), "errno": errno, "status": status })
                    .to_string(),
            );
        } else {
            complain(&format!("{error:#}"));
        }
    }
}

/// Prints a message on standard error, after the program's name.
pub fn complain(text: &str) {
    let text = format!("{}: {text}", program::name());
    to_stderr(&wrapped(&text, columns(stderr())));
}

/// Writes lines to standard error. Nothing is left to report it to if that fails.
pub fn to_stderr(text: &str) {
    let _ = writeln!(stderr(), "{text}");
}

/// Writes lines to standard output.
fn print(text: &str) -> Result<()> {
    let mut stdout = stdout().lock();
    let written = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
    Ok(written.map_err(WriteError)?)
}

/// The fields of a structure of the device, without reserved ones, with sets and flags
/// as names.
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

/// The text of a field: a number, or names.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_keep_their_order_and_leave_out_reserved_fields() {
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
