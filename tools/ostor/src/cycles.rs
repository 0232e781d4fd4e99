// SPDX-License-Identifier: GPL-2.0
//! `ostor cycles`: how long until a lock cycle of several CPUs, or a holder that
//! does not let go, ends in an error?

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};
use comfy_table::Table;
use nix::errno::Errno;
use ostor::device::{self, Cycle, Fate};
use serde::Serialize;

use crate::cli::CyclesArgs;
use crate::cpus;
use crate::exit::{Exit, UsageError};
use crate::output::{Output, grouped, table, verdict};
use crate::progress::Progress;

/// Which of its two ways the kernel's rqspinlock goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Path {
    /// Those who wait stand in a queue.
    Queued,
    /// They try again and again; in virtual machines on x86.
    TestAndSet,
}

/// The errors that end a case, and how many of those who want a lock get one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    /// At least one gets this error, and nobody another one; but for the lock's
    /// time-out, where that has passed before the lock looked for a cycle.
    With(Errno),
    /// Everybody gets it.
    AllWith(Errno),
}

struct Case {
    name: &'static str,
    cycle: Cycle,
    cpus: usize,
    ends: Ends,
}

/// What came out of all runs of a case.
#[derive(Debug, Serialize)]
struct Seen {
    case: &'static str,
    path: Path,
    cpus: usize,
    runs: usize,
    /// Who got an error, and which.
    deadlocks: usize,
    timeouts: usize,
    /// After how many nanoseconds.
    min_ns: u64,
    median_ns: u64,
    max_ns: u64,
    bound_ns: u64,
    /// Operations on other owners meanwhile.
    others: u64,
}

/// How long the holder stalls: longer than any time-out.
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

/// `ostor cycles`
pub(crate) fn run(args: &CyclesArgs, output: &Output) -> Result<Exit> {
    let slack = Duration::from_millis(args.slack_ms);
    let mut cpus = cpus::usable()?;
    cpus.retain(|&cpu| cpu < 64);
    if cpus.len() < 2 {
        let text = "a cycle needs two CPUs, but only one is online; start with --smp 2";
        return Err(UsageError(text.to_owned()).into());
    }
    let (path, device) = (Path::of_this_machine()?, device::open()?);
    let (can, cannot): (Vec<_>, Vec<_>) = CASES.iter().partition(|case| case.cpus <= cpus.len());
    let mut progress = Progress::new("runs", (can.len() * args.runs) as u64);
    let (mut seen, mut problems) = (Vec::new(), Vec::new());
    let mut runs = 0;
    for case in can {
        let mut fates = Vec::new();
        for _ in 0..args.runs {
            fates.push(case.cycle.run(&device, &cpus[..case.cpus])?);
            runs += 1;
            progress.at(runs);
        }
        problems.extend(case.problems(&fates, path, slack));
        seen.push(case.sum_up(&fates, path, slack));
    }
    drop(progress);

    let mut text = format!(
        "Lock: {}. Runs of each case: {}. Milliseconds to an error:\n{}",
        path.name(),
        args.runs,
        as_table(&seen)
    );
    for problem in &problems {
        text.push_str(&format!("\nWRONG: {problem}"));
    }
    for case in &cannot {
        text.push_str(&format!(
            "\nskipped: {}: it needs {} CPUs; start with --smp {}",
            case.name, case.cpus, case.cpus
        ));
    }
    let verdict = verdict(problems.is_empty(), cannot.len());
    text.push_str(&format!("\ncycles: {verdict}"));
    output.result(
        serde_json::json!({ "cases": seen, "problems": problems }),
        text,
    )?;
    Ok(Exit::check(problems.is_empty()))
}

impl Path {
    /// As `resilient_virt_spin_lock_enabled()` decides it.
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

    /// The longest time-out of a lock that so many wait for: the second in line
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
    /// How long it may take until everybody has a result.
    fn time_out(&self, path: Path) -> Duration {
        path.time_out(match self.cycle {
            Cycle::Ring => 1,
            Cycle::Stall(_) => self.cpus - 1,
        })
    }

    /// What is not as it must be.
    fn problems(&self, fates: &[Fate], path: Path, slack: Duration) -> Vec<String> {
        let mut problems = Vec::new();
        let bound = self.time_out(path) + slack;
        let is_late = |time| time >= self.time_out(path);
        for (i, fate) in fates.iter().enumerate() {
            let mut problem = |text| problems.push(format!("{}, run {i}: {text}", self.name));
            let errors: Vec<_> = fate
                .seen
                .iter()
                .filter_map(|&(result, time)| Some((result.err()?, time)))
                .collect();
            let as_expected = match self.ends {
                Ends::With(errno) => {
                    let is_right =
                        |seen, time| seen == errno || seen == Errno::ETIMEDOUT && is_late(time);
                    !errors.is_empty() && errors.iter().all(|&(seen, time)| is_right(seen, time))
                }
                Ends::AllWith(errno) => {
                    errors.len() == fate.seen.len() && errors.iter().all(|&(seen, _)| seen == errno)
                }
            };
            if !as_expected {
                problem(format!("{fate:?}, must be {:?}", self.ends));
            }
            if let Some((_, time)) = fate.seen.iter().find(|(_, time)| *time > bound) {
                problem(format!("{time:?}, must be {bound:?} at most"));
            }
            if fate.others_failed != 0 {
                problem(format!("{} updates of others failed", fate.others_failed));
            }
        }
        problems
    }

    fn sum_up(&self, fates: &[Fate], path: Path, slack: Duration) -> Seen {
        let seen = fates.iter().flat_map(|fate| &fate.seen);
        let errors: Vec<(Errno, u64)> = seen
            .filter_map(|(result, time)| Some((result.err()?, time.as_nanos() as u64)))
            .collect();
        let count = |errno| errors.iter().filter(|&&(seen, _)| seen == errno).count();
        let mut times: Vec<u64> = errors.iter().map(|&(_, time)| time).collect();
        times.sort_unstable();
        Seen {
            case: self.name,
            path,
            cpus: self.cpus,
            runs: fates.len(),
            deadlocks: count(Errno::EDEADLK),
            timeouts: count(Errno::ETIMEDOUT),
            min_ns: times.first().copied().unwrap_or(0),
            median_ns: times.get(times.len() / 2).copied().unwrap_or(0),
            max_ns: times.last().copied().unwrap_or(0),
            bound_ns: (self.time_out(path) + slack).as_nanos() as u64,
            others: fates.iter().map(|fate| fate.others_ok).sum(),
        }
    }
}

fn as_table(seen: &[Seen]) -> Table {
    let rows = seen.iter().map(|seen| {
        [
            seen.case.to_owned(),
            seen.deadlocks.to_string(),
            seen.timeouts.to_string(),
            milliseconds(seen.min_ns),
            milliseconds(seen.median_ns),
            milliseconds(seen.max_ns),
            milliseconds(seen.bound_ns),
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
    table(head, rows)
}

/// With a thousandth below one, and in whole ones from 100 on.
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
    use super::*;
    use crate::output::assert_fits;

    fn fate(seen: &[(std::result::Result<(), Errno>, u64)]) -> Fate {
        Fate {
            seen: seen
                .iter()
                .map(|&(result, ms)| (result, Duration::from_millis(ms)))
                .collect(),
            others_ok: 1,
            others_failed: 0,
        }
    }

    #[test]
    fn the_table_fits() {
        let late = (Err(Errno::ETIMEDOUT), 60_999);
        let seen = |case: &Case| {
            let mut seen = case.sum_up(&[fate(&[late])], Path::Queued, Duration::from_secs(60));
            (seen.deadlocks, seen.timeouts) = (1_000_000, 1_000_000);
            seen
        };
        assert_fits(as_table(&CASES.each_ref().map(seen)));
    }

    #[test]
    fn what_must_be_is_told_from_what_must_not() {
        let [pair, ring, stall, _] = &CASES;
        let problems = |case: &Case, fate: Fate| {
            case.problems(&[fate], Path::Queued, Duration::from_millis(500))
                .len()
        };
        let (cycle, late) = (Err(Errno::EDEADLK), Err(Errno::ETIMEDOUT));
        assert_eq!(problems(pair, fate(&[(cycle, 1), (Ok(()), 1)])), 0);
        assert_eq!(problems(pair, fate(&[(Ok(()), 1), (Ok(()), 1)])), 1);
        assert_eq!(problems(pair, fate(&[(late, 249), (Ok(()), 1)])), 1);
        assert_eq!(problems(pair, fate(&[(late, 250), (Ok(()), 1)])), 0);
        assert_eq!(
            problems(ring, fate(&[(late, 250), (Ok(()), 1), (Ok(()), 1)])),
            0
        );
        assert_eq!(
            problems(ring, fate(&[(late, 751), (Ok(()), 1), (Ok(()), 1)])),
            1
        );
        assert_eq!(problems(stall, fate(&[(late, 250)])), 0);
        assert_eq!(problems(stall, fate(&[(Ok(()), 250)])), 1);
        let failed = Fate {
            others_failed: 1,
            ..fate(&[(late, 250)])
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
    fn times_are_those_of_errors() {
        let late = Err(Errno::ETIMEDOUT);
        let fates = [
            fate(&[(late, 3), (Ok(()), 900), (late, 1)]),
            fate(&[(late, 2), (Ok(()), 0), (Ok(()), 0)]),
        ];
        let seen = CASES[1].sum_up(&fates, Path::Queued, Duration::ZERO);
        assert_eq!(
            (seen.min_ns, seen.median_ns, seen.max_ns),
            (1_000_000, 2_000_000, 3_000_000)
        );
        assert_eq!((seen.deadlocks, seen.timeouts, seen.others), (0, 3, 2));
        let pair = [fate(&[(Err(Errno::EDEADLK), 1), (late, 250)])];
        let seen = CASES[0].sum_up(&pair, Path::Queued, Duration::ZERO);
        assert_eq!((seen.deadlocks, seen.timeouts), (1, 1));
    }
}
