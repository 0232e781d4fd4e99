// SPDX-License-Identifier: GPL-2.0
//! What the tool prints: tables and lines for a person, JSON for a program.

use anyhow::Result;
use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};
use ostor::device;
use serde::Serialize;
use serde_json::{Map, Value, json};

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
            println!("{}", text.as_ref());
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

    /// The figures of a structure of the device, one a line.
    pub(crate) fn figures(&self, figures: &impl Serialize) -> Result<()> {
        let figures = figures_of(figures)?;
        let width = figures.keys().map(String::len).max().unwrap_or(0);
        let lines = figures
            .iter()
            .map(|(name, value)| format!("{name:width$}  {value}"));
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
            eprintln!("ostor: {error:#}");
        }
    }
}

/// A table, its numbers flush right.
pub(crate) fn table<const N: usize>(
    head: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> Table {
    let mut table = Table::new();
    table.load_preset(ASCII_MARKDOWN).set_header(head);
    let mut numeric = [true; N];
    for row in rows {
        for (numeric, cell) in numeric.iter_mut().zip(&row) {
            *numeric &= cell
                .chars()
                .all(|c| c.is_ascii_digit() || ",.-".contains(c));
        }
        table.add_row(row);
    }
    for (column, numeric) in table.column_iter_mut().zip(numeric) {
        if numeric {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// A number with its thousands apart.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The fields of a structure of the device that say something.
fn figures_of(figures: &impl Serialize) -> Result<Map<String, Value>> {
    let Value::Object(mut fields) = serde_json::to_value(figures)? else {
        anyhow::bail!("not a structure");
    };
    fields.retain(|name, _| name != "reserved" && name != "flags");
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_keep_their_order_and_leave_out_what_says_nothing() {
        let stats = uapi::ostor_stats {
            late_free: 7,
            ..Default::default()
        };
        let figures = figures_of(&stats).unwrap();
        assert_eq!(figures.keys().next().unwrap(), "maps");
        assert_eq!(figures["late_free"], 7);
        assert!(!figures.contains_key("reserved"));
    }

    #[test]
    fn tables_align_numbers() {
        let table = table(
            ["what", "ns"],
            [["get".into(), "7".into()], ["set".into(), "1,024".into()]],
        );
        let text = table.to_string();
        assert!(text.contains("|     7 |"), "{text}");
    }

    #[test]
    fn thousands_stand_apart() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }
}
