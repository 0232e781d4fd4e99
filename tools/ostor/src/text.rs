// SPDX-License-Identifier: GPL-2.0
//! Text for a reader: tables, numbers, lines that fit, and the verdict of a run.

use std::io::stdout;
use std::os::fd::AsFd;

use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, ContentArrangement, Table};
use terminal_size::{Height, Width, terminal_size_of};
use textwrap::{Options, WordSplitter};

/// The columns of a stream that is not a terminal or does not tell its size.
pub const COLUMNS: usize = 80;

/// The columns of a stream.
pub fn columns(stream: impl AsFd) -> usize {
    terminal_size_of(stream).map_or(COLUMNS, |(Width(columns), _)| columns.into())
}

/// The rows of a stream, if it is a terminal that tells its size.
pub fn rows(stream: impl AsFd) -> Option<usize> {
    terminal_size_of(stream).map(|(_, Height(rows))| rows.into())
}

/// The lines of a text that fit into a terminal, with a note on those that do not. One row
/// is left for the cursor.
pub fn first_lines(text: &str, rows: usize) -> String {
    let all = text.lines().count();
    if all < rows {
        return text.to_owned();
    }
    let shown = rows.saturating_sub(2);
    let mut lines: Vec<_> = text.lines().take(shown).map(str::to_owned).collect();
    lines.push(format!("({} more lines)", all - shown));
    lines.join("\n")
}

/// Breaks lines that are too long between words. The rest of a line is indented by two
/// more.
pub fn wrapped(text: &str, columns: usize) -> String {
    let wrap = |line: &str| {
        let indent = " ".repeat(line.len() - line.trim_start().len() + 2);
        let options = Options::new(columns)
            .subsequent_indent(&indent)
            .word_splitter(WordSplitter::NoHyphenation);
        textwrap::fill(line, options)
    };
    text.lines().map(wrap).collect::<Vec<_>>().join("\n")
}

/// A table for standard output, with numbers aligned to the right. Text in the widest
/// columns is broken if the table does not fit.
pub fn table<const N: usize>(
    head: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> Table {
    let mut table = Table::new();
    table
        .load_preset(ASCII_MARKDOWN)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(u16::try_from(columns(stdout())).unwrap_or(u16::MAX))
        .set_header(head);
    let mut all_figures = [true; N];
    for row in rows {
        for (all_figures, cell) in all_figures.iter_mut().zip(&row) {
            *all_figures &= is_figure(cell);
        }
        table.add_row(row);
    }
    for (column, all_figures) in table.column_iter_mut().zip(all_figures) {
        if all_figures {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// Whether a cell is a number, with or without a unit, or stands for a missing one.
fn is_figure(cell: &str) -> bool {
    let is_unit = |c: char| c == ' ' || c.is_ascii_alphabetic();
    let number = cell.trim_start_matches('~').trim_end_matches(is_unit);
    (cell.is_empty() || !number.is_empty())
        && number
            .chars()
            .all(|c| c.is_ascii_digit() || ",.-".contains(c))
}

/// The verdict of a run. A part that was skipped is not known to work.
pub fn verdict(ok: bool, skipped: usize) -> String {
    match (ok, skipped) {
        (false, _) => "FAILED".to_owned(),
        (true, 0) => "ok".to_owned(),
        (true, skipped) => format!("ok ({skipped} skipped)"),
    }
}

/// A number with a comma after each thousand.
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

/// A number in at most six characters: from 100,000 on, three digits and a unit.
pub fn brief(number: u64) -> String {
    if number < 100_000 {
        return grouped(number);
    }
    let mut unit = 1000;
    let mut names = "kMGTPE".chars();
    let mut name = names.next();
    while number / unit >= 1000 {
        unit *= 1000;
        name = names.next();
    }
    let (whole, part) = (number / unit, number % unit);
    let name = name.expect("no number is larger than 18 E");
    match whole {
        100.. => format!("{whole}{name}"),
        10.. => format!("{whole}.{}{name}", part / (unit / 10)),
        _ => format!("{whole}.{:02}{name}", part / (unit / 100)),
    }
}

/// Nanoseconds in a unit of a fitting size.
pub fn time(ns: u64) -> String {
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => format!("{} us", ns / 1_000),
        1_000_000..1_000_000_000 => format!("{} ms", ns / 1_000_000),
        1_000_000_000..10_000_000_000 => {
            format!("{}.{:02} s", ns / 1_000_000_000, ns / 10_000_000 % 100)
        }
        _ => format!("{} s", ns / 1_000_000_000),
    }
}

/// Asserts that a table fits into 80 columns without breaking any text. For tests.
///
/// # Panics
///
/// If a line is wider.
#[track_caller]
pub fn assert_fits(mut table: Table) {
    table.set_content_arrangement(ContentArrangement::Disabled);
    for line in table.lines() {
        let columns = line.chars().count();
        assert!(columns <= COLUMNS, "{columns}:\n{table}");
    }
}

/// Asserts that every help page of a program fits into 80 columns. For tests.
///
/// # Panics
///
/// If a line is wider.
pub fn assert_help_fits(mut program: clap::Command) {
    program.build();
    let mut left = vec![program];
    while let Some(mut command) = left.pop() {
        for page in [command.render_help(), command.render_long_help()] {
            for line in page.to_string().lines() {
                assert!(line.chars().count() <= COLUMNS, "{line}");
            }
        }
        left.extend(command.get_subcommands().cloned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_align_numbers() {
        let table = table(
            ["what", "ns", "at all"],
            [
                ["get".into(), "7".into(), "~12.5k".into()],
                ["set".into(), "1,024".into(), "".into()],
            ],
        );
        let text = table.to_string();
        assert!(text.contains("|     7 | ~12.5k |"), "{text}");
        assert!(text.contains("| 1,024 |        |"), "{text}");
    }

    #[test]
    fn numbers_differ_from_words() {
        for figure in ["", "-", "0", "1,024", "12.5k", "~7", "35 us", "1.50 s"] {
            assert!(is_figure(figure), "{figure:?}");
        }
        for word in ["ok", "not 0", "tid:7", "8 of 8", "~"] {
            assert!(!is_figure(word), "{word:?}");
        }
    }

    #[test]
    fn a_table_that_is_too_wide_breaks_its_text() {
        let row = ["task".into(), "1,234".into(), "word ".repeat(40)];
        let text = table(["kind", "seq", "value"], [row]).to_string();
        assert!(
            text.lines().all(|line| line.len() <= columns(stdout())),
            "{text}"
        );
        assert!(text.contains("| task | 1,234 | word word"), "{text}");
        assert_eq!(text.matches("word").count(), 40, "{text}");
    }

    #[test]
    fn lines_are_broken_between_words() {
        let text = "skipped: it needs --load-test\n\n  a: b c d e f g h i j k";
        let lines = [
            "skipped: it needs",
            "  --load-test",
            "",
            "  a: b c d e f g h i",
            "    j k",
        ];
        assert_eq!(wrapped(text, 20), lines.join("\n"));
        assert_eq!(wrapped(text, 80), text);
    }

    #[test]
    fn a_file_has_eighty_columns() {
        let file = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(columns(file), 80);
    }

    #[test]
    fn only_the_lines_of_a_terminal_are_shown() {
        assert_eq!(first_lines("a\nb\nc", 4), "a\nb\nc");
        assert_eq!(first_lines("a\nb\nc", 3), "a\n(2 more lines)");
        assert_eq!(first_lines("a\nb\nc", 0), "(3 more lines)");
    }

    #[test]
    fn the_verdict_names_skipped_parts() {
        assert_eq!(verdict(true, 0), "ok");
        assert_eq!(verdict(true, 2), "ok (2 skipped)");
        assert_eq!(verdict(false, 2), "FAILED");
    }

    #[test]
    fn thousands_are_separated() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }

    #[test]
    fn large_numbers_are_brief() {
        for (number, text) in [
            (0, "0"),
            (99_999, "99,999"),
            (100_000, "100k"),
            (999_999, "999k"),
            (1_050_000, "1.05M"),
            (12_345_678, "12.3M"),
            (u64::MAX, "18.4E"),
        ] {
            assert_eq!(brief(number), text);
        }
    }

    #[test]
    fn times_have_a_fitting_unit() {
        for (ns, text) in [
            (0, "0 ns"),
            (999, "999 ns"),
            (35_999, "35 us"),
            (250_000_000, "250 ms"),
            (1_000_000_000, "1.00 s"),
            (3_059_000_000, "3.05 s"),
            (61_000_000_000, "61 s"),
        ] {
            assert_eq!(time(ns), text);
        }
    }
}
