// SPDX-License-Identifier: GPL-2.0
//! What a run of checks found: figures, problems, and what was skipped. Every command
//! that checks something ends with such a report.

use std::fmt::{Debug, Display};

use anyhow::Result;
use comfy_table::Table;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uapi::ostor_stats;

use crate::exit::Exit;
use crate::output::Output;
use crate::settle;
use crate::text::{grouped, table, verdict};

/// How many problems are kept: the later ones mostly follow from the first.
const MOST: usize = 20;

/// The findings of a run, or of a part of it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Report {
    figures: Vec<(String, u64)>,
    problems: Vec<String>,
    /// Problems that were found after the first [`MOST`].
    more_problems: u64,
    skipped: Vec<String>,
}

impl Report {
    /// Adds to a figure.
    pub fn add(&mut self, name: &str, count: u64) {
        match self.figures.iter_mut().find(|(known, _)| known == name) {
            Some((_, total)) => *total += count,
            None => self.figures.push((name.to_owned(), count)),
        }
    }

    /// A figure, or 0 if nothing was added to it.
    pub fn figure(&self, name: &str) -> u64 {
        let mut named = self.figures.iter().filter(|(known, _)| known == name);
        named.next().map_or(0, |(_, count)| *count)
    }

    /// The problems found so far.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    /// Whether no problem was found.
    pub fn is_ok(&self) -> bool {
        self.problems.is_empty()
    }

    /// Notes a failed check.
    pub fn problem(&mut self, text: impl Into<String>) {
        match self.problems.len() < MOST {
            true => self.problems.push(text.into()),
            false => self.more_problems += 1,
        }
    }

    /// Notes what was not tried because this kernel or machine cannot do it.
    pub fn skip(&mut self, what: &str, why: impl Display) {
        self.skipped.push(format!("{what}: {why}"));
    }

    /// Checks that two values are equal.
    pub fn expect<T: PartialEq + Debug>(&mut self, what: &str, found: T, expected: T) {
        if found != expected {
            self.problem(format!("{what}: {found:?}, must be {expected:?}"));
        }
    }

    /// Waits until all objects that the run created are gone, and checks the statistics.
    pub fn expect_nothing_left(&mut self, before: &ostor_stats) -> Result<()> {
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
        self.expect(
            "unlinkings finished",
            after.finished - before.finished,
            deferred,
        );
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

    /// Whether so many problems were found that the run need not go on.
    pub fn is_hopeless(&self) -> bool {
        self.problems.len() >= MOST
    }

    /// Adds the findings of another part of the run.
    pub fn merge(&mut self, other: Self) {
        for (name, count) in other.figures {
            self.add(&name, count);
        }
        for problem in other.problems {
            self.problem(problem);
        }
        self.more_problems += other.more_problems;
        self.skipped.extend(other.skipped);
    }

    /// Prints the report of the command `name`.
    pub fn print(&self, name: &str, output: &Output) -> Result<Exit> {
        self.print_with(name, json!({}), "", output)
    }

    /// Prints the report of the command `name` with results of its own: `fields`, a JSON
    /// object, and `text`.
    pub fn print_with(
        &self,
        name: &str,
        fields: Value,
        text: impl Display,
        output: &Output,
    ) -> Result<Exit> {
        output.result(self.to_json(fields), self.to_text(name, text))?;
        Ok(Exit::check(self.is_ok()))
    }

    fn to_json(&self, fields: Value) -> Value {
        let mut all = match fields {
            Value::Object(fields) => fields,
            other => serde_json::Map::from_iter([("results".to_owned(), other)]),
        };
        if !self.figures.is_empty() {
            let figures = self.figures.iter();
            let figures = figures.map(|(name, count)| (name.clone(), (*count).into()));
            all.insert("figures".to_owned(), Value::Object(figures.collect()));
        }
        all.insert("problems".to_owned(), json!(self.problems));
        all.insert("more_problems".to_owned(), json!(self.more_problems));
        all.insert("skipped".to_owned(), json!(self.skipped));
        all.insert("ok".to_owned(), json!(self.is_ok()));
        Value::Object(all)
    }

    fn to_text(&self, name: &str, text: impl Display) -> String {
        let mut parts = vec![text.to_string()];
        if !self.figures.is_empty() {
            parts.push(self.figures_table().to_string());
        }
        parts.extend(
            self.problems
                .iter()
                .map(|problem| format!("WRONG: {problem}")),
        );
        if self.more_problems > 0 {
            let more = grouped(self.more_problems);
            parts.push(format!("WRONG: and {more} more problems"));
        }
        parts.extend(
            self.skipped
                .iter()
                .map(|skipped| format!("skipped: {skipped}")),
        );
        parts.push(format!(
            "{name}: {}",
            verdict(self.is_ok(), self.skipped.len())
        ));
        parts.retain(|part| !part.is_empty());
        parts.join("\n")
    }

    fn figures_table(&self) -> Table {
        let figures = self.figures.iter();
        table(
            ["", "count"],
            figures.map(|(name, count)| [name.clone(), grouped(*count)]),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::assert_fits;

    #[test]
    fn the_table_fits() {
        let mut report = Report::default();
        report.add("deferred and not finished at the end", u64::MAX);
        assert_fits(report.figures_table());
    }

    #[test]
    fn a_difference_fails_the_run() {
        let mut report = Report::default();
        report.expect("elements", 1, 1);
        assert!(report.is_ok());
        report.expect("elements", 2, 1);
        assert!(!report.is_ok());
        assert_eq!(report.problems(), ["elements: 2, must be 1"]);
    }

    #[test]
    fn merging_adds_figures_and_keeps_problems() {
        let mut all = Report::default();
        all.add("gets", 2);
        let mut part = Report::default();
        part.add("gets", 3);
        part.problem("lost");
        part.skip("sockets", "not served");
        all.merge(part);
        assert_eq!((all.figure("gets"), all.figure("sets")), (5, 0));
        assert_eq!(all.problems(), ["lost"]);
        assert_eq!(all.skipped, ["sockets: not served"]);
    }

    #[test]
    fn a_report_ends_with_the_verdict() {
        let mut report = Report::default();
        report.skip("sockets", "not served");
        let text = report.to_text("stress", "a table");
        assert_eq!(
            text,
            "a table\nskipped: sockets: not served\nstress: ok (1 skipped)"
        );
        (0..22).for_each(|_| report.problem("lost"));
        let text = report.to_text("stress", "");
        assert!(text.starts_with("WRONG: lost\nWRONG: lost\n"), "{text}");
        assert!(text.contains("\nWRONG: and 2 more problems\n"), "{text}");
        assert!(text.ends_with("\nstress: FAILED"), "{text}");
    }

    #[test]
    fn json_has_the_commands_own_fields_first() {
        let mut report = Report::default();
        report.problem("lost");
        let json = report.to_json(json!({ "cells": 4 }));
        assert_eq!(json.as_object().unwrap().keys().next().unwrap(), "cells");
        assert_eq!(
            (&json["ok"], &json["problems"][0]),
            (&json!(false), &json!("lost"))
        );
    }
}
