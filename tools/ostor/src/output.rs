// SPDX-License-Identifier: GPL-2.0
//! What the tools print: tables and lines for a reader, JSON for a program.
//!
//! A failed write is an error of the command and never a panic: `println!` is not used.

use std::io::{self, Write, stderr, stdout};

use anyhow::Result;
use serde::Serialize;
use serde_json::json;

use crate::device;
use crate::exit::{Exit, is_closed_output};
use crate::program;
use crate::text::{columns, first_lines, rows, wrapped};

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

    /// Prints a result as one line of JSON, or as a text that replaces the last one on a
    /// terminal. For results that are printed repeatedly.
    pub fn refresh(&self, value: impl Serialize, text: &str) -> Result<()> {
        if self.json {
            return print(&serde_json::to_string(&value)?);
        }
        let text = wrapped(text, columns(stdout()));
        match rows(stdout()) {
            // Cursor to the top left corner, and clear what is below.
            Some(rows) => print(&format!("\x1b[H\x1b[J{}", first_lines(&text, rows))),
            None => print(&format!("{text}\n")),
        }
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
