// SPDX-License-Identifier: GPL-2.0
//! `ostor-torture compare-guards`: how many operations fail spuriously with the per-CPU
//! counter that BPF task storage had, and with rqspinlock, which replaced it.

mod inside;
mod workload;

use std::time::Duration;

use anyhow::Result;
use comfy_table::Table;
use nix::errno::Errno;
use ostor::device::{self, Map};
use ostor::exit::Exit;
use ostor::output::Output;
use ostor::report::Report;
use ostor::settle;
use ostor::text::{grouped, table};
use ostor::torture::TortureDevice;
use serde::Serialize;
use serde_json::json;

use crate::cli::CompareGuardsArgs;
use crate::cpus;
use crate::self_churn::OpCounts;

/// Bytes per value.
const VALUE_SIZE: u32 = 64;

/// What keeps operations from running inside each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Guard {
    /// A per-CPU counter: the second operation on the CPU fails.
    Counter,
    /// The module's own locks.
    Rqspinlock,
}

/// The results with one guard.
#[derive(Debug, Serialize)]
struct Measured {
    guard: Guard,
    counts: OpCounts,
    per_million: u64,
    /// The result of an operation inside another owner's.
    inside: String,
    ok: bool,
}

/// Runs the command.
pub(crate) fn run(args: &CompareGuardsArgs, output: &Output) -> Result<Exit> {
    let before = device::stats()?;
    let device = TortureDevice::open()?;
    let cpus = cpus::usable()?;
    let measure = |guard: Guard| -> Result<Measured> {
        let map = Map::create(VALUE_SIZE)?;
        let is_counted = guard == Guard::Counter;
        let inside = inside::result(&device, &map, is_counted)?;
        let time = Duration::from_secs(args.seconds);
        let counts = workload::run(&device, &map, is_counted, &cpus, time)?;
        Ok(Measured::new(guard, counts, inside))
    };
    let measured = [measure(Guard::Counter)?, measure(Guard::Rqspinlock)?];
    let after = settle::stats_back_to(&before)?;

    let mut report = Report::default();
    for measured in measured.iter().filter(|measured| !measured.ok) {
        let name = measured.guard.name();
        report.problem(format!("{name}: not as expected; see the table"));
    }
    if settle::alive(&after) != settle::alive(&before) {
        report.problem(format!("objects left: {after:?}"));
    }
    let text = format!(
        "CPUs: {}; on each {}. Each creates and deletes its own value, for {} s with each \
         guard.\n\n{}",
        cpus.len(),
        workload::THREADS_OF_A_CPU,
        args.seconds,
        as_table(&measured)
    );
    let fields = json!({
        "cpus": cpus.len(),
        "seconds": args.seconds,
        "guards": measured,
    });
    report.print_with("compare-guards", fields, text, output)
}

impl Guard {
    fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter per CPU",
            Self::Rqspinlock => "rqspinlock",
        }
    }
}

impl Measured {
    /// With the counter operations must fail, or the comparison shows nothing. With the
    /// lock none may fail.
    fn new(guard: Guard, counts: OpCounts, inside: std::result::Result<(), Errno>) -> Self {
        let ok = match guard {
            Guard::Counter => counts.errors() == ["EBUSY"] && inside == Err(Errno::EBUSY),
            Guard::Rqspinlock => counts.failures() == 0 && inside.is_ok(),
        };
        Self {
            guard,
            per_million: per_million(counts.failures(), counts.operations()),
            inside: inside.map_or_else(|errno| format!("{errno:?}"), |()| "ok".to_owned()),
            ok: ok && counts.operations() > 0,
            counts,
        }
    }
}

/// A table with a row for each figure and a column for each guard.
fn as_table(measured: &[Measured; 2]) -> Table {
    let row = |what: &str, figure: &dyn Fn(&Measured) -> String| {
        let [counter, rqspinlock] = measured.each_ref().map(figure);
        [what.to_owned(), counter, rqspinlock]
    };
    let rows = [
        row("operations", &|of| grouped(of.counts.operations())),
        row("spurious failures", &|of| grouped(of.counts.failures())),
        row("per million", &|of| grouped(of.per_million)),
        row("their error", &|of| of.counts.errors().join(", ")),
        row("inside another owner's", &|of| of.inside.clone()),
        row("as expected", &|of| {
            if of.ok { "yes" } else { "NO" }.to_owned()
        }),
    ];
    let [counter, rqspinlock] = measured.each_ref().map(|of| of.guard.name());
    table(["", counter, rqspinlock], rows)
}

/// The part of a million; at least 1 if `part` is not 0.
fn per_million(part: u64, all: u64) -> u64 {
    (part * 1_000_000).div_ceil(all.max(1))
}

#[cfg(test)]
mod tests {
    use ostor::text::assert_fits;

    use super::*;

    #[test]
    fn the_table_fits() {
        let mut counts = OpCounts {
            creates: 123_456_789_012,
            ..OpCounts::default()
        };
        let errors = [Errno::EDEADLK, Errno::ETIMEDOUT];
        for errno in errors {
            counts.create_errors.insert(format!("{errno:?}"), 1);
        }
        let measured = |guard| Measured::new(guard, counts.clone(), Err(Errno::ETIMEDOUT));
        let table = as_table(&[Guard::Counter, Guard::Rqspinlock].map(measured));
        assert!(table.to_string().contains("| EDEADLK, ETIMEDOUT |"));
        assert_fits(table);
    }

    #[test]
    fn a_rare_failure_is_not_rounded_to_zero() {
        assert_eq!(per_million(0, 5_000_000), 0);
        assert_eq!(per_million(1, 5_000_000), 1);
        assert_eq!(per_million(3, 1_000), 3000);
    }

    #[test]
    fn each_guard_has_its_own_errors() {
        let with = |errno: Option<Errno>| {
            let mut counts = OpCounts {
                creates: 9,
                ..OpCounts::default()
            };
            if let Some(errno) = errno {
                counts.create_errors.insert(format!("{errno:?}"), 1);
            }
            counts
        };
        let ok = |guard, errno, inside| Measured::new(guard, with(errno), inside).ok;
        assert!(ok(Guard::Counter, Some(Errno::EBUSY), Err(Errno::EBUSY)));
        assert!(!ok(Guard::Counter, None, Err(Errno::EBUSY)));
        assert!(!ok(Guard::Counter, Some(Errno::EBUSY), Ok(())));
        assert!(!ok(Guard::Counter, Some(Errno::ENOMEM), Err(Errno::EBUSY)));
        assert!(ok(Guard::Rqspinlock, None, Ok(())));
        assert!(!ok(Guard::Rqspinlock, Some(Errno::EDEADLK), Ok(())));
        assert!(!ok(Guard::Rqspinlock, None, Err(Errno::EDEADLK)));
    }
}
