// SPDX-License-Identifier: GPL-2.0
//! What the demo tells: each act as it happens, and at the end the kinds of owners
//! as a table, what was not right, and how many acts there were.

use std::fmt::{self, Display};
use std::io::stdout;

use anyhow::Result;
use ostor::settle;
use ostor::text::columns;
use serde::Serialize;
use uapi::ostor_stats;

use super::kinds::{self, KindRow};
use crate::exit::Exit;
use crate::output::{Output, verdict};

/// What came of an act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    Ok,
    Wrong,
    /// This kernel cannot do it, so nothing was shown.
    Skipped,
}

#[derive(Serialize)]
struct Row {
    tried: String,
    came_out: String,
    verdict: Verdict,
}

/// The demo's report.
pub(crate) struct Report<'a> {
    output: &'a Output,
    rows: Vec<Row>,
    kinds: Vec<KindRow>,
    remaining: Option<ostor_stats>,
}

impl<'a> Report<'a> {
    pub(crate) fn new(output: &'a Output) -> Self {
        Self {
            output,
            rows: Vec::new(),
            kinds: Vec::new(),
            remaining: None,
        }
    }

    /// A line that is no result.
    pub(crate) fn line(&self, text: impl AsRef<str>) {
        self.output.line(text);
    }

    /// A result.
    pub(crate) fn row(&mut self, tried: impl Into<String>, came_out: impl Into<String>, ok: bool) {
        self.push(tried.into(), came_out.into(), Verdict::of(ok));
    }

    /// What this kernel cannot do, and why.
    pub(crate) fn skip(&mut self, tried: impl Into<String>, why: impl Into<String>) {
        self.push(tried.into(), why.into(), Verdict::Skipped);
    }

    fn push(&mut self, tried: String, came_out: String, verdict: Verdict) {
        self.tell(&tried, &came_out, verdict);
        self.rows.push(Row {
            tried,
            came_out,
            verdict,
        });
    }

    /// What came out for one kind of owners.
    pub(crate) fn kind(&mut self, row: KindRow) {
        let (tried, came_out) = row.told();
        self.tell(&tried, &came_out, row.verdict);
        self.kinds.push(row);
    }

    fn tell(&self, tried: &str, came_out: &str, verdict: Verdict) {
        let columns = columns(stdout());
        self.output.line(told(tried, came_out, verdict, columns));
    }

    /// A result that is right if all of `total` came out right.
    pub(crate) fn count(&mut self, tried: impl Into<String>, right: usize, total: usize) {
        let came_out = format!("{right} of {total} right");
        self.row(tried, came_out, right == total && total > 0);
    }

    /// What remains when everything is closed: nothing, or it is wrong.
    pub(crate) fn remaining(&mut self, stats: &ostor_stats) {
        let [maps, elements, storages, bytes, charged] = settle::alive(stats);
        self.row(
            "live objects after all is closed",
            format!(
                "{maps} maps, {elements} values, {storages} storages; {bytes} bytes, \
                 {charged} charged"
            ),
            settle::alive(stats) == [0; settle::ALIVE.len()],
        );
        let same = stats.allocated == stats.freed && stats.allocated == stats.dropped;
        self.row(
            "values allocated, dropped, freed",
            format!("{}, {}, {}", stats.allocated, stats.dropped, stats.freed),
            same && stats.allocated > 0,
        );
        self.row(
            "owners whose death went unnoticed",
            (stats.late_free + stats.stale).to_string(),
            stats.late_free + stats.stale == 0,
        );
        self.row(
            "option memory left in freed sockets",
            format!("{} bytes", stats.omem_left),
            stats.omem_left == 0,
        );
        self.remaining = Some(*stats);
    }

    /// Prints the table, the counts and the verdict.
    pub(crate) fn finish(self) -> Result<Exit> {
        let kinds = self.kinds.iter().map(|row| row.verdict);
        let verdicts = self.rows.iter().map(|row| row.verdict).chain(kinds);
        let counts = Counts::of(verdicts);
        let (ok, skipped) = (counts.wrong == 0, counts.skipped);
        let mut text = format!("\n{}\n", kinds::as_text(&self.kinds));
        for row in self.rows.iter().filter(|row| row.verdict == Verdict::Wrong) {
            text.push_str(&format!("\nWRONG: {}: {}", row.tried, row.came_out));
        }
        text.push_str(&format!("\n{counts}\ndemo: {}", verdict(ok, skipped)));
        let value = serde_json::json!({
            "kinds": self.kinds,
            "acts": self.rows,
            "remaining": self.remaining,
            "skipped": skipped,
            "ok": ok,
        });
        self.output.result(value, text)?;
        Ok(Exit::check(ok))
    }
}

/// How many acts came out how.
#[derive(Default)]
struct Counts {
    ok: usize,
    wrong: usize,
    skipped: usize,
}

impl Counts {
    fn of(verdicts: impl Iterator<Item = Verdict>) -> Self {
        let mut counts = Self::default();
        for verdict in verdicts {
            *match verdict {
                Verdict::Ok => &mut counts.ok,
                Verdict::Wrong => &mut counts.wrong,
                Verdict::Skipped => &mut counts.skipped,
            } += 1;
        }
        counts
    }
}

impl Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "what was tried: {} ok, {} wrong, {} skipped",
            self.ok, self.wrong, self.skipped
        )
    }
}

/// What was tried and what came out, in a line if they fit.
fn told(tried: &str, came_out: &str, verdict: Verdict, columns: usize) -> String {
    let remark = verdict.remark();
    let line = format!("{tried}: {came_out}{remark}");
    if line.chars().count() <= columns {
        return line;
    }
    format!("{tried}:\n  {came_out}{remark}")
}

impl Verdict {
    pub(crate) fn of(ok: bool) -> Self {
        if ok { Self::Ok } else { Self::Wrong }
    }

    pub(crate) fn cell(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Wrong => "WRONG",
            Self::Skipped => "skipped",
        }
    }

    /// What stands behind a line that is not simply right.
    pub(crate) fn remark(self) -> &'static str {
        match self {
            Self::Ok => "",
            Self::Wrong => "  <-- WRONG",
            Self::Skipped => "  (skipped)",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_act_is_told_in_a_line_if_it_fits() {
        let told = |columns| told("list the map", "9 entries", Verdict::Wrong, columns);
        assert_eq!(told(34), "list the map: 9 entries  <-- WRONG");
        assert_eq!(told(33), "list the map:\n  9 entries  <-- WRONG");
    }

    #[test]
    fn acts_are_counted_by_what_came_out() {
        use Verdict::{Ok, Skipped, Wrong};
        let counts = Counts::of([Ok, Skipped, Ok, Ok, Wrong, Skipped].into_iter());
        let text = "what was tried: 3 ok, 1 wrong, 2 skipped";
        assert_eq!(counts.to_string(), text);
    }
}
