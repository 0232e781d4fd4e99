// SPDX-License-Identifier: GPL-2.0
//! `ostor-torture cycles`: the time until a lock cycle of several CPUs, or a lock holder
//! that stalls, ends with an error.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};
use comfy_table::Table;
use nix::errno::Errno;
use ostor::exit::{Exit, UsageError};
use ostor::output::Output;
use ostor::progress::Progress;
use ostor::report::Report;
use ostor::text::{grouped, table};
use ostor::torture::{Cycle, CycleOutcome, TortureDevice};
use serde::Serialize;
use serde_json::json;

use crate::cli::CyclesArgs;
use crate::cpus;

/// How the kernel's rqspinlock waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Path {
    /// In a queue.
    Queued,
    /// By repeated attempts, as in virtual machines on x86.
    TestAndSet,
}

/// The errors with which a case ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    /// At least one CPU gets this error, and no CPU another one, except for the lock's
    /// time-out if that passed before the lock looked for a cycle.
    With(Errno),
    /// Every CPU gets this error.
    AllWith(Errno),
}

struct Case {
    name: &'static str,
    cycle: Cycle,
    cpus: usize,
    ends: Ends,
}

/// The results of all runs of a case.
#[derive(Debug, Serialize)]
struct Row {
    case: &'static str,
    path: Path,
    cpus: usize,
    runs: usize,
    /// Number of waits that ended with each error.
    deadlocks: usize,
    timeouts: usize,
    /// Nanoseconds until the error.
    min_ns: u64,
    median_ns: u64,
    max_ns: u64,
    bound_ns: u64,
    /// Number of concurrent operations on other owners.
    others: u64,
}

/// For how long the lock holder stalls: longer than every time-out.
const STALL: Duration = Duration::from_secs(3);

const CASES: [Case; 4] = [
    Case {
        name: "AB-BA",
        cycle: Cycle::Ring,
        cpus: 2,
        ends: Ends::With(Errno::EDEADLK),
    },
    Case {
        name: "AB-BC-CA",
        cycle: Cycle::Ring,
        cpus: 3,
        ends: Ends::With(Errno::ETIMEDOUT),
    },
    Case {
        name: "stall, one waits",
        cycle: Cycle::Stall(STALL),
        cpus: 2,
        ends: Ends::AllWith(Errno::ETIMEDOUT),
    },
    Case {
        name: "stall, two wait",
        cycle: Cycle::Stall(STALL),
        cpus: 3,
        ends: Ends::AllWith(Errno::ETIMEDOUT),
    },
];

/// Runs the command.
pub(crate) fn run(args: &CyclesArgs, output: &Output) -> Result<Exit> {
    let slack = Duration::from_millis(args.slack_ms);
    let cpus = cpus::usable_by_drivers()?;
    if cpus.len() < 2 {
        let text = "a cycle needs two CPUs, but only one is online; start with --smp 2";
        return Err(UsageError(text.to_owned()).into());
    }
    let (path, device) = (Path::of_this_machine()?, TortureDevice::open()?);
    let (can, cannot): (Vec<_>, Vec<_>) = CASES.iter().partition(|case| case.cpus <= cpus.len());
    let mut progress = Progress::new("runs", (can.len() * args.runs) as u64);
    let (mut rows, mut report) = (Vec::new(), Report::default());
    let mut runs = 0;
    for case in can {
        let mut outcomes = Vec::new();
        for _ in 0..args.runs {
            outcomes.push(case.cycle.run(&device, &cpus[..case.cpus])?);
            runs += 1;
            progress.at(runs);
        }
        case.check(&outcomes, path, slack, &mut report);
        rows.push(case.sum_up(&outcomes, path, slack));
    }
    drop(progress);

    for case in &cannot {
        let why = format!(
            "it needs {} CPUs; start with --smp {}",
            case.cpus, case.cpus
        );
        report.skip(case.name, why);
    }
    let text = format!(
        "Lock: {}. Runs of each case: {}. Milliseconds to an error:\n{}",
        path.name(),
        args.runs,
        as_table(&rows)
    );
    report.print_with("cycles", json!({ "cases": rows }), text, output)
}

impl Path {
    /// The same decision as `resilient_virt_spin_lock_enabled()`.
    fn of_this_machine() -> Result<Self> {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").context("cannot read /proc/cpuinfo")?;
        let is_virtual = cpuinfo
            .lines()
            .filter(|line| line.starts_with("flags"))
            .any(|line| line.split_whitespace().any(|flag| flag == "hypervisor"));
        Ok(if is_virtual {
            Self::TestAndSet
        } else {
            Self::Queued
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::TestAndSet => "test-and-set",
        }
    }

    /// The longest time-out of a lock with this number of waiters. The second waiter
    /// gives up before the head of the queue does.
    fn time_out(self, waiters: usize) -> Duration {
        match (self, waiters) {
            (Self::TestAndSet, _) => Duration::from_secs(1),
            (Self::Queued, 1) => Duration::from_millis(250),
            (Self::Queued, _) => Duration::from_millis(500),
        }
    }
}

impl Case {
    /// The longest time until every CPU has a result.
    fn time_out(&self, path: Path) -> Duration {
        path.time_out(match self.cycle {
            Cycle::Ring => 1,
            Cycle::Stall(_) => self.cpus - 1,
        })
    }

    /// Checks all runs of the case.
    fn check(&self, outcomes: &[CycleOutcome], path: Path, slack: Duration, report: &mut Report) {
        let bound = self.time_out(path) + slack;
        let is_late = |time| time >= self.time_out(path);
        for (i, outcome) in outcomes.iter().enumerate() {
            let mut problem = |text| report.problem(format!("{}, run {i}: {text}", self.name));
            let errors: Vec<_> = outcome
                .waits
                .iter()
                .filter_map(|&(result, time)| Some((result.err()?, time)))
                .collect();
            let as_expected = match self.ends {
                Ends::With(errno) => {
                    let is_right =
                        |found, time| found == errno || found == Errno::ETIMEDOUT && is_late(time);
                    !errors.is_empty() && errors.iter().all(|&(found, time)| is_right(found, time))
                }
                Ends::AllWith(errno) => {
                    errors.len() == outcome.waits.len()
                        && errors.iter().all(|&(found, _)| found == errno)
                }
            };
            if !as_expected {
                problem(format!("{outcome:?}, must be {:?}", self.ends));
            }
            if let Some((_, time)) = outcome.waits.iter().find(|(_, time)| *time > bound) {
                problem(format!("{time:?}, must be at most {bound:?}"));
            }
            if outcome.others_failed != 0 {
                let failed = outcome.others_failed;
                problem(format!("{failed} updates of other owners failed"));
            }
        }
    }

    fn sum_up(&self, outcomes: &[CycleOutcome], path: Path, slack: Duration) -> Row {
        let waits = outcomes.iter().flat_map(|outcome| &outcome.waits);
        let errors: Vec<(Errno, u64)> = waits
            .filter_map(|(result, time)| Some((result.err()?, time.as_nanos() as u64)))
            .collect();
        let count = |errno| errors.iter().filter(|&&(found, _)| found == errno).count();
        let mut times: Vec<u64> = errors.iter().map(|&(_, time)| time).collect();
        times.sort_unstable();
        Row {
            case: self.name,
            path,
            cpus: self.cpus,
            runs: outcomes.len(),
            deadlocks: count(Errno::EDEADLK),
            timeouts: count(Errno::ETIMEDOUT),
            min_ns: times.first().copied().unwrap_or(0),
            median_ns: times.get(times.len() / 2).copied().unwrap_or(0),
            max_ns: times.last().copied().unwrap_or(0),
            bound_ns: (self.time_out(path) + slack).as_nanos() as u64,
            others: outcomes.iter().map(|outcome| outcome.others_ok).sum(),
        }
    }
}

fn as_table(rows: &[Row]) -> Table {
    let cells = rows.iter().map(|row| {
        [
            row.case.to_owned(),
            row.deadlocks.to_string(),
            row.timeouts.to_string(),
            milliseconds(row.min_ns),
            milliseconds(row.median_ns),
            milliseconds(row.max_ns),
            milliseconds(row.bound_ns),
        ]
    });
    let head = [
        "case",
        "EDEADLK",
        "ETIMEDOUT",
        "min",
        "median",
        "max",
        "bound",
    ];
    table(head, cells)
}

/// Milliseconds with three digits: with decimals below 100, whole from there on.
fn milliseconds(ns: u64) -> String {
    let us = ns / 1_000;
    let (whole, part) = (us / 1_000, us % 1_000);
    match whole {
        0 => format!("0.{part:03}"),
        1..10 => format!("{whole}.{:02}", part / 10),
        10..100 => format!("{whole}.{}", part / 100),
        _ => grouped(whole),
    }
}

#[cfg(test)]
mod tests {
    use ostor::text::assert_fits;

    use super::*;

    fn outcome(waits: &[(std::result::Result<(), Errno>, u64)]) -> CycleOutcome {
        let waits = waits.iter();
        CycleOutcome {
            waits: waits
                .map(|&(result, ms)| (result, Duration::from_millis(ms)))
                .collect(),
            others_ok: 1,
            others_failed: 0,
        }
    }

    #[test]
    fn the_table_fits() {
        let late = (Err(Errno::ETIMEDOUT), 60_999);
        let row = |case: &Case| {
            let mut row = case.sum_up(&[outcome(&[late])], Path::Queued, Duration::from_secs(60));
            (row.deadlocks, row.timeouts) = (1_000_000, 1_000_000);
            row
        };
        assert_fits(as_table(&CASES.each_ref().map(row)));
    }

    #[test]
    fn wrong_errors_and_late_ones_are_problems() {
        let [pair, ring, stall, _] = &CASES;
        let problems = |case: &Case, outcome: CycleOutcome| {
            let (mut report, slack) = (Report::default(), Duration::from_millis(500));
            case.check(&[outcome], Path::Queued, slack, &mut report);
            report.problems().len()
        };
        let (ok, cycle, late) = (Ok(()), Err(Errno::EDEADLK), Err(Errno::ETIMEDOUT));
        for (case, waits, count) in [
            (pair, [(cycle, 1), (ok, 1)].as_slice(), 0),
            (pair, &[(ok, 1), (ok, 1)], 1),
            (pair, &[(late, 249), (ok, 1)], 1),
            (pair, &[(late, 250), (ok, 1)], 0),
            (ring, &[(late, 250), (ok, 1), (ok, 1)], 0),
            (ring, &[(late, 751), (ok, 1), (ok, 1)], 1),
            (stall, &[(late, 250)], 0),
            (stall, &[(ok, 250)], 1),
        ] {
            assert_eq!(
                problems(case, outcome(waits)),
                count,
                "{}, {waits:?}",
                case.name
            );
        }
        let failed = CycleOutcome {
            others_failed: 1,
            ..outcome(&[(late, 250)])
        };
        assert_eq!(problems(stall, failed), 1);
    }

    #[test]
    fn short_times_have_more_decimals() {
        for (ns, ms) in [
            (35_999, "0.035"),
            (7_059_000, "7.05"),
            (42_199_999, "42.1"),
            (250_999_999, "250"),
            (1_004_000_000, "1,004"),
        ] {
            assert_eq!(milliseconds(ns), ms);
        }
    }

    #[test]
    fn only_errors_have_a_time() {
        let late = Err(Errno::ETIMEDOUT);
        let outcomes = [
            outcome(&[(late, 3), (Ok(()), 900), (late, 1)]),
            outcome(&[(late, 2), (Ok(()), 0), (Ok(()), 0)]),
        ];
        let row = CASES[1].sum_up(&outcomes, Path::Queued, Duration::ZERO);
        assert_eq!(
            (row.min_ns, row.median_ns, row.max_ns),
            (1_000_000, 2_000_000, 3_000_000)
        );
        assert_eq!((row.deadlocks, row.timeouts, row.others), (0, 3, 2));
        let pair = [outcome(&[(Err(Errno::EDEADLK), 1), (late, 250)])];
        let row = CASES[0].sum_up(&pair, Path::Queued, Duration::ZERO);
        assert_eq!((row.deadlocks, row.timeouts), (1, 1));
    }
}
