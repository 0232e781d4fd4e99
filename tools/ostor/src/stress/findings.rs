// SPDX-License-Identifier: GPL-2.0
//! What a stress run found.

use std::fmt::{Debug, Display};

use anyhow::Result;
use comfy_table::Table;
use ostor::settle;
use serde::{Deserialize, Serialize};
use serde_json::json;
use uapi::ostor_stats;

use crate::exit::Exit;
use crate::output::{Output, grouped, table, verdict};

/// How many problems are kept; the first ones tell most.
const MOST: usize = 20;

/// Figures of a run, and what was not as it must be.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Findings {
    figures: Vec<(String, u64)>,
    problems: Vec<String>,
    skipped: Vec<String>,
}

impl Findings {
    /// Adds to a figure.
    pub(crate) fn add(&mut self, name: &str, count: u64) {
        match self.figures.iter_mut().find(|(known, _)| known == name) {
            Some((_, total)) => *total += count,
            None => self.figures.push((name.to_owned(), count)),
        }
    }

    /// A figure; 0 if there is none of that name.
    pub(crate) fn figure(&self, name: &str) -> u64 {
        let mut named = self.figures.iter().filter(|(known, _)| known == name);
        named.next().map_or(0, |(_, count)| *count)
    }

    /// What was not as it must be.
    pub(crate) fn problems(&self) -> &[String] {
        &self.problems
    }

    /// Notes what was not as it must be.
    pub(crate) fn problem(&mut self, text: impl Into<String>) {
        if self.problems.len() < MOST {
            self.problems.push(text.into());
        }
    }

    /// Notes what this kernel cannot do, so that nothing was found out about it.
    pub(crate) fn skip(&mut self, what: &str, why: impl Display) {
        self.skipped.push(format!("{what}: {why}"));
    }

    /// Notes a difference as a problem.
    pub(crate) fn expect<T: PartialEq + Debug>(&mut self, what: &str, found: T, expected: T) {
        if found != expected {
            self.problem(format!("{what}: {found:?}, must be {expected:?}"));
        }
    }

    /// Waits until all that the run created is gone, and notes what is not.
    pub(crate) fn expect_nothing_left(&mut self, before: &ostor_stats) -> Result<()> {
        let after = settle::stats_back_to(before)?;
        let counts = settle::alive(&after).into_iter().zip(settle::alive(before));
        for (what, (after, before)) in settle::ALIVE.into_iter().zip(counts) {
            self.add(&format!("{what} left"), after.saturating_sub(before));
            self.expect(&format!("{what} now"), after, before);
        }
        for (what, after, before) in [
            ("late_free", after.late_free, before.late_free),
            ("stale", after.stale, before.stale),
            ("omem_left", after.omem_left, before.omem_left),
        ] {
            self.add(what, after - before);
            self.expect(what, after, before);
        }
        let deferred = after.deferred - before.deferred;
        self.add("unlinkings deferred", deferred);
        self.expect("those finished", after.finished - before.finished, deferred);
        let allocated = after.allocated - before.allocated;
        self.add("values allocated", allocated);
        for (what, count) in [
            ("values dropped", after.dropped - before.dropped),
            ("values freed", after.freed - before.freed),
        ] {
            self.add(what, count);
            self.expect(what, count, allocated);
        }
        Ok(())
    }

    /// Whether enough went wrong to stop.
    pub(crate) fn is_hopeless(&self) -> bool {
        self.problems.len() >= MOST
    }

    /// Adds what another part of the run found.
    pub(crate) fn merge(&mut self, other: Self) {
        for (name, count) in other.figures {
            self.add(&name, count);
        }
        for problem in other.problems {
            self.problem(problem);
        }
        self.skipped.extend(other.skipped);
    }

    fn as_table(&self) -> Table {
        let figures = self.figures.iter();
        table(
            ["", "count"],
            figures.map(|(name, count)| [name.clone(), grouped(*count)]),
        )
    }

    /// Prints the figures, the problems and the verdict on `what` was run.
    pub(crate) fn print(&self, what: &str, output: &Output) -> Result<Exit> {
        let ok = self.problems.is_empty();
        let mut text = self.as_table().to_string();
        for problem in &self.problems {
            text.push_str(&format!("\nWRONG: {problem}"));
        }
        for skipped in &self.skipped {
            text.push_str(&format!("\nskipped: {skipped}"));
        }
        text.push_str(&format!("\n{what}: {}", verdict(ok, self.skipped.len())));
        let figures: serde_json::Map<_, _> = self
            .figures
            .iter()
            .map(|(name, count)| (name.clone(), (*count).into()))
            .collect();
        output.result(
            json!({
                "figures": figures,
                "problems": self.problems,
                "skipped": self.skipped,
                "ok": ok,
            }),
            text,
        )?;
        Ok(Exit::check(ok))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::assert_fits;

    #[test]
    fn the_table_fits() {
        let mut findings = Findings::default();
        findings.add("deferred and not finished at the end", u64::MAX);
        assert_fits(findings.as_table());
    }

    #[test]
    fn a_difference_fails_the_run() {
        let output = Output::new(true);
        let mut findings = Findings::default();
        findings.expect("elements", 1, 1);
        assert_eq!(findings.print("stress", &output).unwrap(), Exit::Ok);
        findings.expect("elements", 2, 1);
        assert_eq!(
            findings.print("stress", &output).unwrap(),
            Exit::CheckFailed
        );
    }

    #[test]
    fn merging_adds_figures_and_keeps_problems() {
        let mut all = Findings::default();
        all.add("gets", 2);
        let mut part = Findings::default();
        part.add("gets", 3);
        part.problem("lost");
        part.skip("sockets", "none here");
        all.merge(part);
        assert_eq!((all.figure("gets"), all.figure("sets")), (5, 0));
        assert_eq!(all.problems(), ["lost"]);
        assert_eq!(all.skipped, ["sockets: none here"]);
    }
}
