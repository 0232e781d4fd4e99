// SPDX-License-Identifier: GPL-2.0
//! The result of one test, beside what upstream expects.

use serde_json::{Value, json};

use ostor::report::Report;
use ostor::text::grouped;

/// The value that a figure must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// This number.
    Exactly(u64),
    /// Not 0, which shows that the test did something.
    Some,
}

/// A figure of a test.
#[derive(Debug)]
struct Figure {
    what: &'static str,
    wanted: Wanted,
    found: u64,
    /// Whether upstream's test has the figure too.
    is_upstreams: bool,
}

/// The figures of a test, and other problems.
#[derive(Debug)]
pub(super) struct Row {
    figures: Vec<Figure>,
    /// How this test differs from upstream's.
    pub(super) differs: &'static str,
    problems: Vec<String>,
}

impl Row {
    pub(super) fn new(differs: &'static str) -> Self {
        Self {
            figures: Vec::new(),
            differs,
            problems: Vec::new(),
        }
    }

    /// Adds a figure that upstream's test has.
    pub(super) fn upstream(self, what: &'static str, wanted: Wanted, found: u64) -> Self {
        self.figure(what, wanted, found, true)
    }

    /// Adds a figure that only this test has.
    pub(super) fn and(self, what: &'static str, wanted: Wanted, found: u64) -> Self {
        self.figure(what, wanted, found, false)
    }

    fn figure(
        mut self,
        what: &'static str,
        wanted: Wanted,
        found: u64,
        is_upstreams: bool,
    ) -> Self {
        self.figures.push(Figure {
            what,
            wanted,
            found,
            is_upstreams,
        });
        self
    }

    /// Adds the problems of a stress run.
    pub(super) fn with_problems(mut self, report: &Report) -> Self {
        self.problems.extend_from_slice(report.problems());
        self
    }

    /// Adds all problems of the test to the report of the command.
    pub(super) fn add_problems(&self, test: &str, report: &mut Report) {
        for figure in self.figures.iter().filter(|figure| !figure.ok()) {
            let (what, found, wanted) = (figure.what, figure.found, figure.wanted);
            report.problem(format!("{test}: {what}: {found}, must be {wanted:?}"));
        }
        for problem in &self.problems {
            report.problem(format!("{test}: {problem}"));
        }
    }

    pub(super) fn ok(&self) -> bool {
        self.problems.is_empty() && self.figures.iter().all(Figure::ok)
    }

    /// A row for each figure: its name, the value that upstream expects, and the value
    /// found.
    pub(super) fn cells(&self) -> impl Iterator<Item = [String; 4]> {
        self.figures.iter().map(|figure| {
            let upstreams = match figure.wanted {
                _ if !figure.is_upstreams => "-".to_owned(),
                Wanted::Exactly(number) => grouped(number),
                Wanted::Some => "not 0".to_owned(),
            };
            [
                format!("  {}", figure.what),
                upstreams,
                grouped(figure.found),
                String::new(),
            ]
        })
    }

    pub(super) fn to_json(&self, name: &str) -> Value {
        let figures = self.figures.iter().map(|figure| {
            let wanted = match figure.wanted {
                Wanted::Exactly(number) => json!(number),
                Wanted::Some => json!("not 0"),
            };
            json!({
                "what": figure.what,
                "must_be": wanted,
                "is_upstreams": figure.is_upstreams,
                "ours": figure.found,
            })
        });
        json!({
            "name": name,
            "figures": figures.collect::<Vec<_>>(),
            "differs": self.differs,
            "problems": self.problems,
            "ok": self.ok(),
        })
    }
}

impl Figure {
    fn ok(&self) -> bool {
        match self.wanted {
            Wanted::Exactly(number) => self.found == number,
            Wanted::Some => self.found > 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_ok_if_all_figures_are() {
        let row = || {
            Row::new("not at all")
                .upstream("errors", Wanted::Exactly(0), 0)
                .upstream("refused", Wanted::Some, 7)
                .and("rounds", Wanted::Some, 1200)
        };
        assert!(row().ok());
        let cells: Vec<_> = row().cells().collect();
        assert_eq!(cells[1], ["  refused", "not 0", "7", ""]);
        assert_eq!(cells[2], ["  rounds", "-", "1,200", ""]);
        assert!(!row().upstream("map a", Wanted::Exactly(200), 201).ok());
        assert!(!row().and("more", Wanted::Some, 0).ok());
        let mut report = Report::default();
        report.problem("lost");
        let wrong = row()
            .and("map b", Wanted::Exactly(1), 2)
            .with_problems(&report);
        assert!(!wrong.ok());
        let mut all = Report::default();
        wrong.add_problems("test", &mut all);
        let problems = ["test: map b: 2, must be Exactly(1)", "test: lost"];
        assert_eq!(all.problems(), problems);
    }
}
