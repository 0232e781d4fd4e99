// SPDX-License-Identifier: GPL-2.0
//! What the demo tells: each act as it happens, all of them as a table at the
//! end.

use anyhow::Result;
use ostor::settle;
use serde::Serialize;
use uapi::ostor_stats;

use crate::exit::Exit;
use crate::output::{Output, table};

#[derive(Serialize)]
struct Row {
    tried: String,
    came_out: String,
    ok: bool,
}

/// The demo's report.
pub(crate) struct Report<'a> {
    output: &'a Output,
    rows: Vec<Row>,
    remaining: Option<ostor_stats>,
}

impl<'a> Report<'a> {
    pub(crate) fn new(output: &'a Output) -> Self {
        Self {
            output,
            rows: Vec::new(),
            remaining: None,
        }
    }

    /// A line that is no result.
    pub(crate) fn line(&self, text: impl AsRef<str>) {
        self.output.line(text);
    }

    /// A result.
    pub(crate) fn row(&mut self, tried: impl Into<String>, came_out: impl Into<String>, ok: bool) {
        let (tried, came_out) = (tried.into(), came_out.into());
        self.output.line(format!(
            "{}: {came_out}{}",
            tried,
            if ok { "" } else { "  <-- WRONG" }
        ));
        self.rows.push(Row {
            tried,
            came_out,
            ok,
        });
    }

    /// A result that is right if all of `total` came out right.
    pub(crate) fn count(&mut self, tried: impl Into<String>, right: usize, total: usize) {
        let came_out = format!("{right} of {total} right");
        self.row(tried, came_out, right == total && total > 0);
    }

    /// What remains when everything is closed: nothing, or it is wrong.
    pub(crate) fn remaining(&mut self, stats: &ostor_stats) {
        let [maps, elements, storages, bytes] = settle::alive(stats);
        self.row(
            "live objects after all is closed",
            format!("{maps} maps, {elements} values, {storages} storages; {bytes} bytes"),
            settle::alive(stats) == [0; 4],
        );
        let same = stats.allocated == stats.freed && stats.allocated == stats.dropped;
        self.row(
            "values allocated, dropped, freed",
            format!("{}, {}, {}", stats.allocated, stats.dropped, stats.freed),
            same && stats.allocated > 0,
        );
        self.row(
            "owners whose death went unnoticed",
            stats.late_free.to_string(),
            stats.late_free == 0,
        );
        self.remaining = Some(*stats);
    }

    /// Prints the table and the verdict.
    pub(crate) fn finish(self) -> Result<Exit> {
        let ok = self.rows.iter().all(|row| row.ok);
        let cells = self.rows.iter().map(|row| {
            let verdict = if row.ok { "ok" } else { "WRONG" };
            [row.tried.clone(), row.came_out.clone(), verdict.to_owned()]
        });
        let text = format!(
            "\n{}\ndemo: {}",
            table(["what was tried", "what came out", ""], cells),
            if ok { "ok" } else { "FAILED" }
        );
        let value = serde_json::json!({ "acts": self.rows, "remaining": self.remaining, "ok": ok });
        self.output.result(value, text)?;
        Ok(Exit::check(ok))
    }
}
