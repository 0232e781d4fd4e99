// SPDX-License-Identifier: GPL-2.0
//! `ostor compare-guards`: how often operations fail that nothing stands in the
//! way of, with the counter per CPU that BPF task storage had and with
//! rqspinlock, which has replaced it.

mod inside;
mod workload;

use std::time::Duration;

use anyhow::Result;
use comfy_table::Table;
use nix::errno::Errno;
use ostor::device::{self, Map};
use ostor::settle;
use serde::Serialize;
use serde_json::json;

use crate::cli::CompareGuardsArgs;
use crate::cpus;
use crate::exit::{Exit, UsageError};
use crate::output::{Output, grouped, table, verdict};
use crate::self_churn::Tally;

/// Bytes per value.
const VALUE_SIZE: u32 = 64;

/// How to have what this needs.
const HOW: &str = "start with `scripts/vm --no-module --test-module`, and in the guest \
                   `insmod /modules/owner_storage_test.ko`";

/// What keeps operations apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Guard {
    /// A counter per CPU that whoever comes second fails at.
    Counter,
    /// The module's own locks.
    Rqspinlock,
}

/// What was seen with one guard.
#[derive(Debug, Serialize)]
struct Seen {
    guard: Guard,
    tally: Tally,
    per_million: u64,
    /// What came out of an operation inside another owner's.
    inside: String,
    ok: bool,
}

/// `ostor compare-guards`
pub(crate) fn run(args: &CompareGuardsArgs, output: &Output) -> Result<Exit> {
    let before = device::stats()?;
    let cpus = cpus::usable()?;
    let see = |guard: Guard| -> Result<Seen> {
        let map = guard.map()?;
        let inside = inside::result(&map)?;
        let tally = workload::run(&map, &cpus, Duration::from_secs(args.seconds))?;
        Ok(Seen::new(guard, tally, inside))
    };
    let seen = [see(Guard::Counter)?, see(Guard::Rqspinlock)?];
    let after = settle::stats_back_to(&before)?;
    let nothing_left = settle::alive(&after) == settle::alive(&before);
    let ok = nothing_left && seen.iter().all(|seen| seen.ok);

    let mut text = format!(
        "CPUs: {}; on each {}. Each creates and deletes its own value, for {} s with each \
         guard.\n\n{}",
        cpus.len(),
        workload::THREADS_OF_A_CPU,
        args.seconds,
        as_table(&seen)
    );
    if !nothing_left {
        text.push_str(&format!("\nWRONG: something is left: {after:?}"));
    }
    text.push_str(&format!("\ncompare-guards: {}", verdict(ok, 0)));
    output.result(
        json!({
            "cpus": cpus.len(),
            "seconds": args.seconds,
            "guards": seen,
            "nothing_left": nothing_left,
            "ok": ok,
        }),
        text,
    )?;
    Ok(Exit::check(ok))
}

impl Guard {
    /// A map that is guarded so.
    fn map(self) -> Result<Map> {
        match self {
            Self::Rqspinlock => Ok(Map::create(VALUE_SIZE)?),
            Self::Counter => Map::create_busy(VALUE_SIZE).map_err(|error| match error.errno() {
                Errno::EINVAL => UsageError(format!(
                    "the loaded module has no such counter, it is not the test flavour; {HOW}"
                ))
                .into(),
                _ => error.into(),
            }),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter per CPU",
            Self::Rqspinlock => "rqspinlock",
        }
    }
}

impl Seen {
    /// The counter must fail, or nothing was compared; the lock must not.
    fn new(guard: Guard, tally: Tally, inside: std::result::Result<(), Errno>) -> Self {
        let ok = match guard {
            Guard::Counter => tally.errors() == ["EBUSY"] && inside == Err(Errno::EBUSY),
            Guard::Rqspinlock => tally.failures() == 0 && inside.is_ok(),
        };
        Self {
            guard,
            per_million: per_million(tally.failures(), tally.operations()),
            inside: inside.map_or_else(|errno| format!("{errno:?}"), |()| "ok".to_owned()),
            ok: ok && tally.operations() > 0,
            tally,
        }
    }
}

/// A row for each figure, a column for each guard.
fn as_table(seen: &[Seen; 2]) -> Table {
    let row = |what: &str, figure: &dyn Fn(&Seen) -> String| {
        let [counter, rqspinlock] = seen.each_ref().map(figure);
        [what.to_owned(), counter, rqspinlock]
    };
    let rows = [
        row("operations", &|seen| grouped(seen.tally.operations())),
        row("spurious failures", &|seen| grouped(seen.tally.failures())),
        row("of a million", &|seen| grouped(seen.per_million)),
        row("their error", &|seen| seen.tally.errors().join(", ")),
        row("inside another owner's", &|seen| seen.inside.clone()),
        row("as it must be", &|seen| {
            if seen.ok { "yes" } else { "NO" }.to_owned()
        }),
    ];
    let [counter, rqspinlock] = seen.each_ref().map(|seen| seen.guard.name());
    table(["", counter, rqspinlock], rows)
}

/// How many of a million; at least 1 if there are any.
fn per_million(part: u64, all: u64) -> u64 {
    (part * 1_000_000).div_ceil(all.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::assert_fits;

    #[test]
    fn the_table_fits() {
        let mut tally = Tally {
            creates: 123_456_789_012,
            ..Tally::default()
        };
        let errors = [Errno::EDEADLK, Errno::ETIMEDOUT];
        for errno in errors {
            tally.create_errors.insert(format!("{errno:?}"), 1);
        }
        let seen = |guard| Seen::new(guard, tally.clone(), Err(Errno::ETIMEDOUT));
        let table = as_table(&[Guard::Counter, Guard::Rqspinlock].map(seen));
        assert!(table.to_string().contains("| EDEADLK, ETIMEDOUT |"));
        assert_fits(table);
    }

    #[test]
    fn a_rare_failure_is_not_rounded_away() {
        assert_eq!(per_million(0, 5_000_000), 0);
        assert_eq!(per_million(1, 5_000_000), 1);
        assert_eq!(per_million(3, 1_000), 3000);
    }

    #[test]
    fn each_guard_is_held_to_what_it_is() {
        let with = |errno: Option<Errno>| {
            let mut tally = Tally {
                creates: 9,
                ..Tally::default()
            };
            if let Some(errno) = errno {
                tally.create_errors.insert(format!("{errno:?}"), 1);
            }
            tally
        };
        let ok = |guard, errno, inside| Seen::new(guard, with(errno), inside).ok;
        assert!(ok(Guard::Counter, Some(Errno::EBUSY), Err(Errno::EBUSY)));
        assert!(!ok(Guard::Counter, None, Err(Errno::EBUSY)));
        assert!(!ok(Guard::Counter, Some(Errno::EBUSY), Ok(())));
        assert!(!ok(Guard::Counter, Some(Errno::ENOMEM), Err(Errno::EBUSY)));
        assert!(ok(Guard::Rqspinlock, None, Ok(())));
        assert!(!ok(Guard::Rqspinlock, Some(Errno::EDEADLK), Ok(())));
        assert!(!ok(Guard::Rqspinlock, None, Err(Errno::EDEADLK)));
    }
}
