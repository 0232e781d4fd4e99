// SPDX-License-Identifier: GPL-2.0
//! The report of the demo: a line for each step when it is done, and at the end the kinds
//! of owners as a table, the number of steps that went right, and those that did not.

use std::io::stdout;

use anyhow::Result;
use ostor::exit::Exit;
use ostor::output::Output;
use ostor::report::Report;
use ostor::settle;
use ostor::text::columns;
use serde::Serialize;
use serde_json::json;
use uapi::ostor_stats;

use super::kinds::{self, KindRow};

/// The verdict on a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    Ok,
    Wrong,
    /// This kernel cannot do it.
    Skipped,
}

#[derive(Serialize)]
struct Step {
    tried: String,
    outcome: String,
    verdict: Verdict,
}

/// The steps of the demo so far.
pub(super) struct DemoReport<'a> {
    output: &'a Output,
    report: Report,
    ok: usize,
    steps: Vec<Step>,
    kinds: Vec<KindRow>,
    remaining: Option<ostor_stats>,
}

impl<'a> DemoReport<'a> {
    pub(super) fn new(output: &'a Output) -> Self {
        Self {
            output,
            report: Report::default(),
            ok: 0,
            steps: Vec::new(),
            kinds: Vec::new(),
            remaining: None,
        }
    }

    /// Prints a text that is not a step.
    pub(super) fn line(&self, text: impl AsRef<str>) -> Result<()> {
        self.output.line(text)
    }

    /// Adds a step.
    pub(super) fn step(
        &mut self,
        tried: impl Into<String>,
        outcome: impl Into<String>,
        ok: bool,
    ) -> Result<()> {
        self.push(tried.into(), outcome.into(), Verdict::of(ok))
    }

    /// Adds a step that is right if all of `total` are.
    pub(super) fn count(
        &mut self,
        tried: impl Into<String>,
        right: usize,
        total: usize,
    ) -> Result<()> {
        let outcome = format!("{right} of {total} right");
        self.step(tried, outcome, right == total && total > 0)
    }

    /// Adds a step that this kernel cannot do, and why.
    pub(super) fn skip(&mut self, tried: impl Into<String>, why: impl Into<String>) -> Result<()> {
        self.push(tried.into(), why.into(), Verdict::Skipped)
    }

    /// Adds the steps with one kind of owners.
    pub(super) fn kind(&mut self, row: KindRow) -> Result<()> {
        let (tried, outcome) = row.as_step();
        self.note(&tried, &outcome, row.verdict)?;
        self.kinds.push(row);
        Ok(())
    }

    /// Adds the checks that nothing is left when all maps are closed.
    pub(super) fn remaining(&mut self, stats: &ostor_stats) -> Result<()> {
        let [maps, elements, storages, bytes, charged] = settle::alive(stats);
        self.step(
            "objects left after all maps are closed",
            format!(
                "{maps} maps, {elements} values, {storages} storages; {bytes} bytes, \
                 {charged} charged"
            ),
            settle::alive(stats) == [0; settle::ALIVE.len()],
        )?;
        let same = stats.allocated == stats.freed && stats.allocated == stats.dropped;
        self.step(
            "values allocated, dropped, freed",
            format!("{}, {}, {}", stats.allocated, stats.dropped, stats.freed),
            same && stats.allocated > 0,
        )?;
        self.step(
            "owners whose death was not noticed",
            (stats.late_free + stats.stale).to_string(),
            stats.late_free + stats.stale == 0,
        )?;
        self.step(
            "option memory left in freed sockets",
            format!("{} bytes", stats.omem_left),
            stats.omem_left == 0,
        )?;
        self.remaining = Some(*stats);
        Ok(())
    }

    /// Prints the table, the number of right steps, the wrong ones and the verdict.
    pub(super) fn finish(self) -> Result<Exit> {
        let text = format!(
            "\n{}\n\nsteps that went right: {}",
            kinds::as_text(&self.kinds),
            self.ok
        );
        let fields = json!({
            "kinds": self.kinds,
            "steps": self.steps,
            "remaining": self.remaining,
        });
        self.report.print_with("demo", fields, text, self.output)
    }

    fn push(&mut self, tried: String, outcome: String, verdict: Verdict) -> Result<()> {
        self.note(&tried, &outcome, verdict)?;
        self.steps.push(Step {
            tried,
            outcome,
            verdict,
        });
        Ok(())
    }

    fn note(&mut self, tried: &str, outcome: &str, verdict: Verdict) -> Result<()> {
        match verdict {
            Verdict::Ok => self.ok += 1,
            Verdict::Wrong => self.report.problem(format!("{tried}: {outcome}")),
            Verdict::Skipped => self.report.skip(tried, outcome),
        }
        self.output
            .line(line(tried, outcome, verdict, columns(stdout())))
    }
}

/// The line of a step, or two lines if it does not fit.
fn line(tried: &str, outcome: &str, verdict: Verdict, columns: usize) -> String {
    let remark = verdict.remark();
    let line = format!("{tried}: {outcome}{remark}");
    if line.chars().count() <= columns {
        return line;
    }
    format!("{tried}:\n  {outcome}{remark}")
}

impl Verdict {
    pub(super) fn of(ok: bool) -> Self {
        if ok { Self::Ok } else { Self::Wrong }
    }

    /// The remark at the end of a line.
    fn remark(self) -> &'static str {
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
    fn a_step_is_one_line_if_it_fits() {
        let line = |columns| line("list the map", "9 entries", Verdict::Wrong, columns);
        assert_eq!(line(34), "list the map: 9 entries  <-- WRONG");
        assert_eq!(line(33), "list the map:\n  9 entries  <-- WRONG");
    }

    #[test]
    fn steps_are_counted_by_their_verdict() {
        let output = Output::new(true);
        let mut report = DemoReport::new(&output);
        report.count("read", 7, 7).unwrap();
        report.count("read none", 0, 0).unwrap();
        report.skip("accept", "no sockets").unwrap();
        assert_eq!(report.ok, 1);
        assert_eq!(report.report.problems(), ["read none: 0 of 0 right"]);
    }
}
