// SPDX-License-Identifier: GPL-2.0
//! What the demo tells: each act as it happens, all of them as a table at the
//! end.

use anyhow::Result;
use ostor::settle;
use serde::Serialize;
use uapi::ostor_stats;

use super::kinds::KindRow;
use crate::exit::Exit;
use crate::output::{Output, table, verdict};

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
        self.output
            .line(format!("{tried}: {came_out}{}", verdict.remark()));
        self.rows.push(Row {
            tried,
            came_out,
            verdict,
        });
    }

    /// What came out for one kind of owners.
    pub(crate) fn kind(&mut self, row: KindRow) {
        self.output.line(row.line());
        self.kinds.push(row);
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

    /// Prints the tables and the verdict.
    pub(crate) fn finish(self) -> Result<Exit> {
        let kinds = self.kinds.iter().map(|row| row.verdict);
        let verdicts: Vec<_> = self
            .rows
            .iter()
            .map(|row| row.verdict)
            .chain(kinds)
            .collect();
        let ok = !verdicts.contains(&Verdict::Wrong);
        let skipped = verdicts
            .iter()
            .filter(|&&verdict| verdict == Verdict::Skipped)
            .count();
        let cells = self.rows.iter().map(|row| {
            [
                row.tried.clone(),
                row.came_out.clone(),
                row.verdict.cell().to_owned(),
            ]
        });
        let text = format!(
            "\n{}\n\n{}\ndemo: {}",
            table(KindRow::HEAD, self.kinds.iter().map(KindRow::cells)),
            table(["what was tried", "what came out", ""], cells),
            verdict(ok, skipped)
        );
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
