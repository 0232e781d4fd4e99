// SPDX-License-Identifier: GPL-2.0
//! `ostor recurse --matrix`: every operation inside every other one, at every
//! point, in every context, against the table in Documentation/matrix.rst.

use std::time::Instant;

use anyhow::Result;
use comfy_table::Table;
use nix::errno::Errno;
use ostor::device::{self, Context, Point};
use ostor::recursion::{Case, Cell, Stage, Verdict};
use serde::{Serialize, Serializer};

use crate::exit::Exit;
use crate::output::{Output, table, verdict};
use crate::progress::Progress;

/// The cases at one point in one context.
#[derive(Clone, Debug, Serialize)]
struct Part {
    point: Point,
    context: Context,
    #[serde(serialize_with = "count")]
    cells: Vec<Cell>,
    cases: usize,
    /// How many inner operations ran.
    ran: usize,
    differences: Vec<String>,
    /// Why they were not tried.
    skipped: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct Report {
    parts: Vec<Part>,
    cells: usize,
    cells_of_table: usize,
    /// What is in the table and was neither tried nor skipped.
    untried: Vec<Cell>,
    cases: usize,
    differences: usize,
    seconds: f64,
}

/// Tries all of it.
pub(crate) fn run(output: &Output) -> Result<Exit> {
    let (stage, start) = (Stage::new()?, Instant::now());
    let places = || {
        Context::RAISED
            .into_iter()
            .flat_map(|c| Point::ALL.map(|p| (c, p)))
    };
    let mut progress = Progress::new("points and contexts", places().count() as u64);
    let mut parts = Vec::new();
    for (context, point) in places() {
        parts.push(try_part(&stage, context, point)?);
        progress.at(parts.len() as u64);
    }
    drop(progress);
    let was_tried = |cell: &Cell| {
        let mut parts = parts.iter();
        parts.any(|part| part.skips(cell) || part.cells.contains(cell))
    };
    let report = Report {
        cells: parts.iter().map(|part| part.cells.len()).sum(),
        cells_of_table: stage.matrix().cells().count(),
        untried: stage
            .matrix()
            .cells()
            .filter(|cell| !was_tried(cell))
            .collect(),
        cases: parts.iter().map(|part| part.cases).sum(),
        differences: parts.iter().map(|part| part.differences.len()).sum(),
        seconds: start.elapsed().as_secs_f64(),
        parts,
    };
    report.print(output)
}

/// How often a case is tried whose interrupt does not come: a busy host can keep
/// an emulated one back for longer than the driver waits for it.
const TRIES: usize = 5;

fn try_case(stage: &Stage, case: &Case) -> device::Result<Verdict> {
    let mut verdict = stage.run(case)?;
    for _ in 1..TRIES {
        if verdict.ok || verdict.outcome.inner.is_some() {
            break;
        }
        verdict = stage.run(case)?;
    }
    Ok(verdict)
}

fn try_part(stage: &Stage, context: Context, point: Point) -> Result<Part> {
    let mut part = Part {
        point,
        context,
        cells: Vec::new(),
        cases: 0,
        ran: 0,
        differences: Vec::new(),
        skipped: None,
    };
    for case in Case::all(context)
        .into_iter()
        .filter(|case| case.point == point)
    {
        let verdict = match try_case(stage, &case) {
            Err(error) if error.errno() == Errno::EOPNOTSUPP => {
                part.skipped = Some("this kernel or machine has no such context, or no such hook");
                return Ok(part);
            }
            verdict => verdict?,
        };
        if !part.cells.contains(&case.cell()) {
            part.cells.push(case.cell());
        }
        part.cases += 1;
        part.ran += usize::from(verdict.outcome.inner.is_some());
        if !verdict.ok {
            part.differences.push(format!(
                "{case:?}: {verdict:?}, must be {:?} inside {:?}",
                case.allowed(stage.matrix()),
                case.outer_allowed()
            ));
        }
    }
    Ok(part)
}

impl Report {
    fn print(&self, output: &Output) -> Result<Exit> {
        let ok = self.differences == 0 && self.untried.is_empty();
        let mut text = as_table(&self.parts).to_string();
        for part in &self.parts {
            for difference in &part.differences {
                text.push_str(&format!("\nWRONG: {difference}"));
            }
        }
        for (context, why, points) in self.skipped() {
            let points: Vec<_> = points.into_iter().map(Point::name).collect();
            text.push_str(&format!(
                "\nskipped: {} at {}: {why}",
                context.name(),
                points.join(", ")
            ));
        }
        for cell in &self.untried {
            text.push_str(&format!("\nWRONG: not tried: {cell:?}"));
        }
        let skipped = self.parts.iter().filter(|part| part.skipped.is_some());
        text.push_str(&format!(
            "\n\n{} of {} cells in {} cases, {} differences, in {:.0} s\nmatrix: {}",
            self.cells,
            self.cells_of_table,
            self.cases,
            self.differences,
            self.seconds,
            verdict(ok, skipped.count())
        ));
        output.result(self, text)?;
        Ok(Exit::check(ok))
    }

    /// At which points of a context nothing was tried, and why.
    fn skipped(&self) -> Vec<(Context, &'static str, Vec<Point>)> {
        let mut skipped: Vec<(_, _, Vec<_>)> = Vec::new();
        for part in &self.parts {
            let Some(why) = part.skipped else { continue };
            match skipped.last_mut() {
                Some((context, same, points)) if (*context, *same) == (part.context, why) => {
                    points.push(part.point);
                }
                _ => skipped.push((part.context, why, vec![part.point])),
            }
        }
        skipped
    }
}

/// What was tried at each point in each context.
fn as_table(parts: &[Part]) -> Table {
    let head = [
        "context",
        "lock held",
        "cells",
        "cases",
        "inner ran",
        "differences",
    ];
    table(head, parts.iter().map(Part::row))
}

/// For a program, how many there are.
fn count<S: Serializer>(cells: &[Cell], serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.serialize_u64(cells.len() as u64)
}

impl Part {
    fn skips(&self, cell: &Cell) -> bool {
        let is_here = (self.context, self.point) == (cell.context, cell.point);
        is_here && self.skipped.is_some()
    }

    fn row(&self) -> [String; 6] {
        [
            self.context.name().to_owned(),
            self.point.name().to_owned(),
            self.cells.len().to_string(),
            self.cases.to_string(),
            self.ran.to_string(),
            self.differences.len().to_string(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::assert_fits;

    fn part(context: Context, point: Point) -> Part {
        Part {
            point,
            context,
            cells: Vec::new(),
            cases: 999,
            ran: 999,
            differences: vec![String::new(); 999],
            skipped: (context == Context::Nmi).then_some("no such context"),
        }
    }

    #[test]
    fn the_table_fits() {
        let all = Context::ALL
            .into_iter()
            .flat_map(|c| Point::ALL.map(|p| part(c, p)));
        assert_fits(as_table(&all.collect::<Vec<_>>()));
    }

    #[test]
    fn a_context_is_skipped_in_one_line() {
        let of = |context| Point::ALL.map(|point| part(context, point));
        let report = Report {
            parts: [of(Context::Ipi), of(Context::Nmi)].concat(),
            cells: 0,
            cells_of_table: 0,
            untried: Vec::new(),
            cases: 0,
            differences: 0,
            seconds: 0.0,
        };
        let all = Point::ALL.to_vec();
        assert_eq!(report.skipped(), [(Context::Nmi, "no such context", all)]);
    }
}
