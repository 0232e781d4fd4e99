// SPDX-License-Identifier: GPL-2.0
//! `ostor-torture recurse --matrix`: every operation inside every other one, at every
//! point and in every context, compared with the table in Documentation/matrix.rst.

use std::time::Instant;

use anyhow::Result;
use clap::ValueEnum;
use nix::errno::Errno;
use ostor::device;
use ostor::exit::Exit;
use ostor::output::Output;
use ostor::progress::Progress;
use ostor::recursion::{Case, Cell, Expected, Fixture, Verdict, Wanted};
use ostor::report::Report;
use ostor::torture::{Context, Point};
use serde::{Serialize, Serializer};
use serde_json::json;

/// A host under load can delay an emulated interrupt for longer than the driver waits,
/// so a case whose inner operation did not run is tried again.
const TRIES: usize = 5;

const LEGEND: &str = "\
Four cells each, for an inner operation on: the same element, the same owner in
another map, another owner in the same map, another owner in another map.
  .  works    D  EDEADLK    M  ENOMEM    -  cannot run there    (blank)  no case
  !  differs from Documentation/matrix.rst    s  skipped    ?  not tried";

/// The cases of one point in one context.
#[derive(Clone, Debug, Serialize)]
struct Part {
    point: Point,
    context: Context,
    #[serde(serialize_with = "count")]
    cells: Vec<Cell>,
    cases: usize,
    /// Number of inner operations that ran.
    ran: usize,
    /// The cells with a case whose outcome is not the promised one.
    #[serde(skip)]
    wrong_cells: Vec<Cell>,
    differences: Vec<String>,
    /// Why no case was tried.
    skipped: Option<&'static str>,
}

/// Runs the command.
pub(crate) fn run(output: &Output) -> Result<Exit> {
    let (fixture, start) = (Fixture::new()?, Instant::now());
    let places = Context::RAISED
        .into_iter()
        .flat_map(|context| Point::ALL.map(|point| (context, point)));
    let places: Vec<_> = places.collect();
    let mut progress = Progress::new("points and contexts", places.len() as u64);
    let mut parts = Vec::new();
    for (context, point) in places {
        parts.push(try_part(&fixture, context, point)?);
        progress.at(parts.len() as u64);
    }
    drop(progress);
    print(&fixture, &parts, start.elapsed().as_secs_f64(), output)
}

fn try_case(fixture: &Fixture, case: &Case) -> device::Result<Verdict> {
    let mut verdict = fixture.run(case)?;
    for _ in 1..TRIES {
        if verdict.ok || verdict.outcome.inner.is_some() {
            break;
        }
        verdict = fixture.run(case)?;
    }
    Ok(verdict)
}

fn try_part(fixture: &Fixture, context: Context, point: Point) -> Result<Part> {
    let mut part = Part {
        point,
        context,
        cells: Vec::new(),
        cases: 0,
        ran: 0,
        wrong_cells: Vec::new(),
        differences: Vec::new(),
        skipped: None,
    };
    for case in Case::all(context)
        .into_iter()
        .filter(|case| case.point == point)
    {
        let verdict = match try_case(fixture, &case) {
            Err(error) if error.errno() == Errno::EOPNOTSUPP => {
                part.skipped = Some("this kernel or machine has no such context or hook");
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
            part.wrong_cells.push(case.cell());
            part.differences.push(format!(
                "{case:?}: {verdict:?}, must be {:?} inside {:?}",
                case.allowed(fixture.matrix()),
                case.outer_allowed()
            ));
        }
    }
    Ok(part)
}

fn print(fixture: &Fixture, parts: &[Part], seconds: f64, output: &Output) -> Result<Exit> {
    let matrix = fixture.matrix();
    let was_tried = |cell: &Cell| parts.iter().any(|part| part.has(cell));
    let untried: Vec<_> = matrix.cells().filter(|cell| !was_tried(cell)).collect();
    let cells: usize = parts.iter().map(|part| part.cells.len()).sum();
    let cells_of_table = matrix.cells().count();
    let cases: usize = parts.iter().map(|part| part.cases).sum();
    let ran: usize = parts.iter().map(|part| part.ran).sum();
    let differences: usize = parts.iter().map(|part| part.differences.len()).sum();

    let mut report = Report::default();
    for difference in parts.iter().flat_map(|part| &part.differences) {
        report.problem(difference);
    }
    for cell in &untried {
        report.problem(format!("not tried: {cell:?}"));
    }
    for (context, why, points) in skipped(parts) {
        let points: Vec<_> = points.iter().map(Point::to_string).collect();
        report.skip(&format!("{context} at {}", points.join(", ")), why);
    }
    let text = format!(
        "{}\n\n{LEGEND}\n\n{cells} of {cells_of_table} cells, {cases} cases, {ran} inner \
         operations ran, in {seconds:.0} s\n{differences} differences",
        grid(parts, |cell| matrix.expected(cell)),
    );
    let fields = json!({
        "parts": parts,
        "cells": cells,
        "cells_of_table": cells_of_table,
        "untried": untried,
        "cases": cases,
        "differences": differences,
        "seconds": seconds,
    });
    report.print_with("matrix", fields, text, output)
}

/// The table of the promises, with a character for the outcome of each cell.
fn grid(parts: &[Part], expected: impl Fn(Cell) -> Expected) -> String {
    let mut lines = Vec::new();
    let names = Point::ALL.map(|point| format!("  {point:7}"));
    lines.push(format!("{:9} {:12}{}", "context", "inner", names.concat()));
    for context in Context::RAISED {
        for (i, &inner) in Wanted::value_variants().iter().enumerate() {
            let place = match i {
                0 => context.to_string(),
                _ => String::new(),
            };
            let value = inner.to_possible_value().expect("no operation is hidden");
            let mut line = format!("{place:9} {:12}", value.get_name());
            for point in Point::ALL {
                let outcomes = Cell::COLUMNS.map(|(same_owner, same_map)| {
                    let cell = Cell {
                        point,
                        context,
                        inner,
                        same_owner,
                        same_map,
                    };
                    outcome(parts, &cell, expected(cell))
                });
                line.push_str(&format!("  {:7}", String::from_iter(outcomes)));
            }
            lines.push(line.trim_end().to_owned());
        }
    }
    lines.join("\n")
}

/// The character of a cell.
fn outcome(parts: &[Part], cell: &Cell, expected: Expected) -> char {
    let here = parts.iter().find(|part| part.is_of(cell));
    match here {
        _ if expected == Expected::NoCase => ' ',
        Some(part) if part.skipped.is_some() => 's',
        Some(part) if part.wrong_cells.contains(cell) => '!',
        Some(part) if part.cells.contains(cell) => match expected {
            Expected::Works | Expected::NoCase => '.',
            Expected::Deadlock => 'D',
            Expected::NoMemory => 'M',
            Expected::Impossible => '-',
        },
        _ => '?',
    }
}

/// The points of a context at which nothing was tried, and why.
fn skipped(parts: &[Part]) -> Vec<(Context, &'static str, Vec<Point>)> {
    let mut skipped: Vec<(_, _, Vec<_>)> = Vec::new();
    for part in parts {
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

/// Serializes cells as their number.
fn count<S: Serializer>(cells: &[Cell], serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.serialize_u64(cells.len() as u64)
}

impl Part {
    /// Whether the cell is at this point in this context.
    fn is_of(&self, cell: &Cell) -> bool {
        (self.context, self.point) == (cell.context, cell.point)
    }

    /// Whether the cell was tried or skipped.
    fn has(&self, cell: &Cell) -> bool {
        self.is_of(cell) && (self.skipped.is_some() || self.cells.contains(cell))
    }
}

#[cfg(test)]
mod tests {
    use ostor::text::COLUMNS;

    use super::*;

    fn part(context: Context, point: Point) -> Part {
        let cell = |(same_owner, same_map)| {
            Wanted::value_variants().iter().map(move |&inner| Cell {
                point,
                context,
                inner,
                same_owner,
                same_map,
            })
        };
        Part {
            point,
            context,
            cells: Cell::COLUMNS.into_iter().flat_map(cell).collect(),
            cases: 999,
            ran: 999,
            wrong_cells: Vec::new(),
            differences: Vec::new(),
            skipped: (context == Context::Nmi).then_some("no such context"),
        }
    }

    fn parts() -> Vec<Part> {
        let contexts = Context::RAISED.into_iter();
        let places = contexts.flat_map(|context| Point::ALL.map(|point| (context, point)));
        places
            .map(|(context, point)| part(context, point))
            .collect()
    }

    #[test]
    fn the_grid_has_every_outcome() {
        let mut parts = parts();
        let storage = &mut parts[1];
        assert_eq!(
            (storage.context, storage.point),
            (Context::Task, Point::Storage)
        );
        storage.wrong_cells.push(storage.cells[0]);
        parts.retain(|part| (part.context, part.point) != (Context::Ipi, Point::Drop));
        let grid = grid(&parts, |cell| match cell.point {
            Point::Bucket => Expected::Impossible,
            Point::Both if cell.same_owner => Expected::Deadlock,
            Point::Alloc if !cell.same_map => Expected::NoMemory,
            Point::Drop if !cell.same_owner && cell.same_map => Expected::NoCase,
            _ => Expected::Works,
        });
        let lines: Vec<_> = grid.lines().collect();
        assert_eq!(lines.len(), 1 + 6 * 5, "{grid}");
        assert_eq!(
            lines[0].trim_end(),
            "context   inner         none     storage  bucket   both     alloc    drop"
        );
        assert_eq!(
            lines[1],
            "task      lookup        ....     !...     ----     DD..     .M.M     .. ."
        );
        let of = |name: &str| lines.iter().find(|line| line.starts_with(name)).unwrap();
        assert!(of("ipi").ends_with(".M.M     ?? ?"), "{grid}");
        assert!(of("nmi").ends_with("ssss     ss s"), "{grid}");
        assert!(lines.iter().all(|line| line.len() <= COLUMNS), "{grid}");
        assert!(LEGEND.lines().all(|line| line.len() <= COLUMNS));
    }

    #[test]
    fn a_context_is_skipped_in_one_line() {
        let all = Point::ALL.to_vec();
        assert_eq!(skipped(&parts()), [(Context::Nmi, "no such context", all)]);
    }
}
