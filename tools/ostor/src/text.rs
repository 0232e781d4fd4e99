// SPDX-License-Identifier: GPL-2.0
//! What a person reads: tables, numbers, and how a run ended.

use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};

/// A table, its numbers flush right.
pub fn table<const N: usize>(
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

/// How a run ended; what was skipped was not seen to be right.
pub fn verdict(ok: bool, skipped: usize) -> String {
    match (ok, skipped) {
        (false, _) => "FAILED".to_owned(),
        (true, 0) => "ok".to_owned(),
        (true, skipped) => format!("ok ({skipped} skipped)"),
    }
}

/// A number with its thousands apart.
pub fn grouped(number: u64) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

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
    fn what_was_skipped_is_told() {
        assert_eq!(verdict(true, 0), "ok");
        assert_eq!(verdict(true, 2), "ok (2 skipped)");
        assert_eq!(verdict(false, 2), "FAILED");
    }

    #[test]
    fn thousands_stand_apart() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }
}
