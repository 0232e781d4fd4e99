// SPDX-License-Identifier: GPL-2.0
//! The promised outcomes of one operation inside another: the table of
//! `Documentation/matrix.rst`.

use anyhow::{Context as _, Result, bail, ensure};
use clap::ValueEnum;
use serde::Serialize;

use crate::kernel::Kernel;
use crate::torture::{Context, Point};

const TEXT: &str = include_str!("../../../../Documentation/matrix.rst");

/// The promised outcome of the inner operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// It succeeds, or finds no element, as it would alone.
    Works,
    /// It fails with EDEADLK: its CPU holds a lock that it needs.
    Deadlock,
    /// It fails with ENOMEM: this kernel cannot allocate in the context.
    NoMemory,
    /// It cannot run at the point in the context.
    Impossible,
    /// There is no such case.
    NoCase,
}

/// The inner operation as the table names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Wanted {
    /// A lookup.
    Lookup,
    /// A create of an element that exists.
    CreateThere,
    /// A create of a new element.
    Create,
    /// An update.
    Update,
    /// A delete.
    Delete,
}

/// A cell of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Cell {
    /// The point at which the inner operation runs.
    pub point: Point,
    /// The context in which it runs.
    pub context: Context,
    /// The inner operation.
    pub inner: Wanted,
    /// Whether both operations are on the same owner.
    pub same_owner: bool,
    /// Whether both operations are in the same map.
    pub same_map: bool,
}

/// The table, read for a kernel.
#[derive(Debug)]
pub struct Matrix {
    cells: Vec<(Cell, Expected)>,
    kernel: Kernel,
}

impl Matrix {
    /// Reads the table. Fails unless it has every cell once.
    pub fn read(kernel: Kernel) -> Result<Self> {
        Self::parse(TEXT, kernel)
    }

    fn parse(text: &str, kernel: Kernel) -> Result<Self> {
        let rows = text
            .lines()
            .skip_while(|line| !line.trim().starts_with(":delim:"))
            .skip(1)
            .skip_while(|line| line.trim().is_empty())
            .take_while(|line| line.starts_with("   "));
        let mut cells = Vec::new();
        for row in rows {
            read_row(row, &mut cells).with_context(|| format!("in the row {row:?}"))?;
        }
        let matrix = Self { cells, kernel };
        for cell in Cell::all() {
            let count = matrix
                .cells
                .iter()
                .filter(|(known, _)| *known == cell)
                .count();
            ensure!(count == 1, "{cell:?} is there {count} times");
        }
        Ok(matrix)
    }

    /// The cells that have cases.
    pub fn cells(&self) -> impl Iterator<Item = Cell> {
        let cells = self.cells.iter();
        let cells = cells.filter(|(_, expected)| *expected != Expected::NoCase);
        cells.map(|(cell, _)| *cell)
    }

    /// The outcome that is promised for a cell on this kernel.
    ///
    /// # Panics
    ///
    /// If the table does not have the context.
    pub fn expected(&self, cell: Cell) -> Expected {
        let found = self.cells.iter().find(|(known, _)| *known == cell);
        let expected = found.expect("the table was read as a whole").1;
        // Memory is allocated before a lock is taken.
        let allocates = matches!(cell.inner, Wanted::Create | Wanted::Update);
        let runs = matches!(expected, Expected::Works | Expected::Deadlock);
        match allocates && runs && !self.kernel.allocates_in(cell.context) {
            true => Expected::NoMemory,
            false => expected,
        }
    }
}

impl Cell {
    /// The last columns of the table: same owner, same map.
    pub const COLUMNS: [(bool, bool); 4] =
        [(true, true), (true, false), (false, true), (false, false)];

    /// All cells.
    fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for point in Point::ALL {
            for context in Context::RAISED {
                for &inner in Wanted::value_variants() {
                    all.extend(Self::COLUMNS.map(|(same_owner, same_map)| Self {
                        point,
                        context,
                        inner,
                        same_owner,
                        same_map,
                    }));
                }
            }
        }
        all
    }
}

/// Reads one row. Each of its first three columns has one or more names.
fn read_row(row: &str, cells: &mut Vec<(Cell, Expected)>) -> Result<()> {
    let fields: Vec<_> = row.split(';').map(str::trim).collect();
    let [points, contexts, inner, results @ ..] = fields.as_slice() else {
        bail!("too few columns");
    };
    ensure!(
        results.len() == Cell::COLUMNS.len(),
        "not as many columns as named"
    );
    for point in names::<Point>(points)? {
        for context in names::<Context>(contexts)? {
            for inner in names::<Wanted>(inner)? {
                for (result, (same_owner, same_map)) in results.iter().zip(Cell::COLUMNS) {
                    let cell = Cell {
                        point,
                        context,
                        inner,
                        same_owner,
                        same_map,
                    };
                    cells.push((cell, expected_of(result)?));
                }
            }
        }
    }
    Ok(())
}

fn names<T: ValueEnum>(list: &str) -> Result<Vec<T>> {
    let name = |name: &str| T::from_str(name.trim(), false).map_err(anyhow::Error::msg);
    list.split(',').map(name).collect()
}

fn expected_of(text: &str) -> Result<Expected> {
    Ok(match text {
        "works" => Expected::Works,
        "EDEADLK" => Expected::Deadlock,
        "impossible" => Expected::Impossible,
        "n/a" => Expected::NoCase,
        other => bail!("unknown outcome {other:?}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_every_cell() {
        let matrix = Matrix::read(Kernel::USUAL).unwrap();
        let (all, without) = (6 * 6 * 5 * 4, 12);
        assert_eq!(matrix.cells.len(), all);
        assert_eq!(matrix.cells().count(), all - without);
    }

    #[test]
    fn only_operations_that_need_a_lock_of_their_own_cpu_fail() {
        let matrix = Matrix::read(Kernel::USUAL).unwrap();
        for cell in Cell::all() {
            let held = matches!(cell.point, Point::Storage | Point::Both);
            let locked = held || cell.point == Point::Bucket;
            let needs = matches!(cell.inner, Wanted::Create | Wanted::Update);
            let there = cell.inner == Wanted::CreateThere;
            let unknown = cell.context == Context::Ipi && cell.same_owner && cell.same_map;
            let missing = cell.point == Point::Drop && !cell.same_owner && cell.same_map;
            let expected = match cell.context {
                _ if there && (unknown || missing) => Expected::NoCase,
                Context::Softirq | Context::Timer | Context::IrqWork if locked => {
                    Expected::Impossible
                }
                Context::Ipi => Expected::Works,
                _ if held && needs && cell.same_owner => Expected::Deadlock,
                _ => Expected::Works,
            };
            assert_eq!(matrix.expected(cell), expected, "{cell:?}");
        }
    }

    #[test]
    fn a_table_with_a_gap_or_a_row_twice_is_refused() {
        let row = TEXT.lines().find(|line| line.starts_with("   bucket;"));
        let row = row.unwrap();
        let parse = |text: String| Matrix::parse(&text, Kernel::USUAL);
        parse(TEXT.replace(row, "")).unwrap_err();
        parse(TEXT.replace(row, &format!("{row}\n{row}"))).unwrap_err();
        parse(TEXT.replace("; works", "; maybe")).unwrap_err();
    }
}
