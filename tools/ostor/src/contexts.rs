// SPDX-License-Identifier: GPL-2.0
//! `ostor contexts`: operations in every context there is.

use std::time::{Duration, Instant};

use anyhow::Result;
use comfy_table::Table;
use nix::errno::Errno;
use ostor::device::{self, Context, Kind, Map, Mode, Op, OpKind, Run, Tally};
use ostor::kernel::Kernel;
use ostor::object::Object;
use ostor::settle;
use serde::Serialize;

use crate::cli::ContextsArgs;
use crate::cpus;
use crate::exit::{Exit, UsageError};
use crate::output::{Output, brief, table, time, verdict};
use crate::progress::Progress;

/// Bytes per value.
const VALUE_SIZE: u32 = 16;

/// How long the device is asked for at a time, so that progress is seen.
const SLICE: Duration = Duration::from_secs(2);

const NOTE: &str = "\
runs:     batches in the wanted context; the other columns count operations.
none:     operations that found nothing: the other side had just deleted it.
EDEADLK:  this CPU held the lock that the operation needs.
p50, p99: of an operation in the context, from above: the histogram's buckets
          are powers of two.";

/// How it went in one context on one CPU.
#[derive(Clone, Debug, Serialize)]
struct Seen {
    context: Context,
    owner: Kind,
    cpu: u32,
    runs: u64,
    elsewhere: u64,
    inside: Tally,
    below: Tally,
}

/// All that was seen.
#[derive(Debug, Default, Serialize)]
struct Report {
    seen: Vec<Seen>,
    problems: Vec<String>,
    skipped: Vec<String>,
    /// The contexts that were tried, and have no memory on this kernel.
    without_memory: Vec<Context>,
}

/// `ostor contexts`
pub(crate) fn run(args: &ContextsArgs, output: &Output) -> Result<Exit> {
    let usable = cpus::usable()?;
    let cpus: Vec<usize> = match args.cpus.as_slice() {
        [] => usable.into_iter().filter(|&cpu| cpu < 64).collect(),
        chosen => {
            if let Some(cpu) = chosen.iter().find(|cpu| !usable.contains(cpu)) {
                return Err(UsageError(format!("there is no CPU {cpu} that can be used")).into());
            }
            usable
                .into_iter()
                .filter(|cpu| chosen.contains(cpu))
                .collect()
        }
    };
    let contexts = chosen(&args.context, &Context::ALL);
    let kinds = chosen(&args.owner, &Kind::ALL);
    let ops = chosen(&args.op, &OpKind::ALL);
    let time = Duration::from_secs(args.seconds);
    let total = args.seconds * (contexts.len() * kinds.len()) as u64;
    let mut progress = Progress::new("seconds", total);
    let start = Instant::now();
    let (mut report, kernel) = (Report::default(), Kernel::running()?);
    for context in contexts {
        let has_memory = kernel.allocates_in(context);
        if !has_memory {
            report.without_memory.push(context);
        }
        for &kind in &kinds {
            let session = Session {
                context,
                kind,
                ops: &ops,
                cpus: &cpus,
                period: Duration::from_micros(args.period_us.into()),
                below: !args.alone && context != Context::Task,
                has_memory,
            };
            session.run(time, &mut report, || {
                progress.at(start.elapsed().as_secs());
            })?;
        }
    }
    drop(progress);
    report.print(output)
}

/// What was chosen, or all.
fn chosen<T: Copy>(chosen: &[T], all: &[T]) -> Vec<T> {
    match chosen {
        [] => all,
        chosen => chosen,
    }
    .to_vec()
}

/// One context and one kind of owners.
struct Session<'a> {
    context: Context,
    kind: Kind,
    ops: &'a [OpKind],
    cpus: &'a [usize],
    period: Duration,
    below: bool,
    /// Whether this kernel can have memory in the context.
    has_memory: bool,
}

impl Session<'_> {
    fn name(&self) -> String {
        format!("{}, owner a {}", self.context.name(), self.kind)
    }

    fn run(&self, time: Duration, report: &mut Report, mut tick: impl FnMut()) -> Result<()> {
        let before = device::stats()?;
        if !self.kind.is_served(&before) {
            let why = self.kind.why_not_served();
            report.skipped.push(format!("{}: {why}", self.name()));
            return Ok(());
        }
        let (map, object) = (Map::create(VALUE_SIZE)?, Object::new(self.kind)?);
        let ops = self.ops.iter().enumerate().map(|(i, &kind)| Op {
            kind,
            mode: Mode::Any,
            map: &map,
            owner: object.owner(),
            seed: i as u64,
        });
        let ops: Vec<_> = ops.collect();
        let run = Run {
            context: self.context,
            ops: &ops,
            cpus: self.cpus,
            period: self.period,
            below: self.below,
        };
        let seen = self.repeat(&run, &map, time, &mut tick);
        object.end()?;
        drop(map);
        match seen {
            Ok(seen) => self.judge(seen, report),
            Err(error) if error.errno() == Errno::EOPNOTSUPP => {
                let why = "this kernel or machine has no such context";
                report.skipped.push(format!("{}: {why}", self.name()));
            }
            Err(error) => return Err(error.into()),
        }
        self.expect_nothing_left(&before, report)
    }

    /// Runs the operations for some time, in slices.
    fn repeat(
        &self,
        run: &Run<'_>,
        map: &Map,
        time: Duration,
        tick: &mut impl FnMut(),
    ) -> device::Result<Vec<Seen>> {
        let mut all: Vec<_> = self.cpus.iter().map(|&cpu| self.nothing(cpu)).collect();
        let mut left = time;
        while !left.is_zero() {
            let slice = left.min(SLICE);
            for (seen, more) in all.iter_mut().zip(run.run(map, slice)?) {
                seen.runs += more.runs;
                seen.elsewhere += more.elsewhere;
                seen.inside.add(&more.inside.into());
                seen.below.add(&more.below.into());
            }
            left -= slice;
            tick();
        }
        Ok(all)
    }

    fn nothing(&self, cpu: usize) -> Seen {
        Seen {
            context: self.context,
            owner: self.kind,
            cpu: cpu as u32,
            runs: 0,
            elsewhere: 0,
            inside: Tally::default(),
            below: Tally::default(),
        }
    }

    fn judge(&self, all: Vec<Seen>, report: &mut Report) {
        // An architecture without NMIs serves their source as an interrupt.
        if self.context == Context::Nmi && all.iter().all(|seen| seen.runs == 0) {
            let elsewhere: u64 = all.iter().map(|seen| seen.elsewhere).sum();
            if elsewhere != 0 {
                let why = "what should be an NMI comes as an interrupt here";
                report.skipped.push(format!("{}: {why}", self.name()));
                return;
            }
        }
        for seen in all {
            let mut problem = |text| {
                report
                    .problems
                    .push(format!("{}, CPU {}: {text}", self.name(), seen.cpu))
            };
            if seen.runs == 0 {
                problem("was never there".to_owned());
            }
            if self.below && seen.below.ok() == 0 {
                problem("nothing was done below it".to_owned());
            }
            for (what, tally, may_cycle, has_memory) in [
                (
                    "",
                    &seen.inside,
                    self.context.comes_under_locks(),
                    self.has_memory,
                ),
                (" below", &seen.below, false, true),
            ] {
                for (errno, count) in tally.failures() {
                    if errno == Errno::ENOMEM && !has_memory {
                        continue;
                    }
                    problem(format!("{count} times {errno:?}{what}"));
                }
                if tally.deadlocks() != 0 && !may_cycle {
                    problem(format!("{} times EDEADLK{what}", tally.deadlocks()));
                }
            }
            report.seen.push(seen);
        }
    }

    fn expect_nothing_left(&self, before: &uapi::ostor_stats, report: &mut Report) -> Result<()> {
        let after = settle::stats_back_to(before)?;
        if settle::alive(&after) != settle::alive(before)
            || after.allocated - before.allocated != after.freed - before.freed
        {
            report.problems.push(format!(
                "{}: left behind: {after:?}, before: {before:?}",
                self.name()
            ));
        }
        Ok(())
    }
}

impl Report {
    fn print(&self, output: &Output) -> Result<Exit> {
        let ok = self.problems.is_empty();
        let rows = summed(&self.seen);
        let mut text = format!(
            "Operations in the context, on all CPUs together:\n{}\n\n\
             How long they took, and the operations of the thread below:\n{}",
            inside(&rows),
            below(&rows)
        );
        for problem in &self.problems {
            text.push_str(&format!("\nWRONG: {problem}"));
        }
        for skipped in &self.skipped {
            text.push_str(&format!("\nskipped: {skipped}"));
        }
        for context in &self.without_memory {
            text.push_str(&format!(
                "\nno memory: {}: this kernel allocates none there, so creates and updates fail",
                context.name()
            ));
        }
        let verdict = verdict(ok, self.skipped.len());
        output.result(self, format!("{text}\n\n{NOTE}\n\ncontexts: {verdict}"))?;
        Ok(Exit::check(ok))
    }
}

/// The sums over the CPUs.
fn summed(seen: &[Seen]) -> Vec<Seen> {
    let mut sums: Vec<Seen> = Vec::new();
    for one in seen {
        let is_same = |sum: &&mut Seen| (sum.context, sum.owner) == (one.context, one.owner);
        match sums.iter_mut().find(is_same) {
            Some(sum) => {
                sum.runs += one.runs;
                sum.elsewhere += one.elsewhere;
                sum.inside.add(&one.inside);
                sum.below.add(&one.below);
            }
            None => sums.push(one.clone()),
        }
    }
    sums
}

/// What came out in the contexts.
fn inside(rows: &[Seen]) -> Table {
    let cells = rows.iter().map(|row| {
        [
            row.context.name().to_owned(),
            row.owner.name().to_owned(),
            brief(row.runs),
            brief(row.inside.ok()),
            brief(row.inside.found_nothing()),
            brief(row.inside.deadlocks()),
            brief(failed(&row.inside)),
        ]
    });
    let head = [
        "context", "owner", "runs", "ok", "none", "EDEADLK", "errors",
    ];
    table(head, cells)
}

/// How long it took, and what came out below.
fn below(rows: &[Seen]) -> Table {
    let cells = rows.iter().map(|row| {
        let percentile = |percent| row.inside.percentile_ns(percent).map_or("-".into(), time);
        [
            row.context.name().to_owned(),
            row.owner.name().to_owned(),
            percentile(50),
            percentile(99),
            time(row.inside.max_ns()),
            brief(row.below.ok()),
            brief(row.below.found_nothing()),
            brief(failed(&row.below) + row.below.deadlocks()),
        ]
    });
    let head = [
        "context", "owner", "p50", "p99", "max", "below ok", "none", "errors",
    ];
    table(head, cells)
}

/// How many operations failed, but for those that met a lock of their CPU.
fn failed(tally: &Tally) -> u64 {
    tally.failures().iter().map(|(_, count)| count).sum()
}

#[cfg(test)]
mod tests {
    use uapi::ostor_tally;

    use super::*;
    use crate::output::assert_fits;

    fn seen(context: Context, owner: Kind, cpu: u32, count: u64) -> Seen {
        let mut tally = ostor_tally {
            ok: count,
            enoent: count,
            enomem: count,
            edeadlk: count,
            max_ns: count,
            ..ostor_tally::default()
        };
        tally.histogram[30] = count;
        Seen {
            context,
            owner,
            cpu,
            runs: count,
            elsewhere: 0,
            inside: tally.into(),
            below: tally.into(),
        }
    }

    #[test]
    fn the_tables_fit_after_a_day() {
        let all = Context::ALL
            .into_iter()
            .flat_map(|c| Kind::ALL.map(|k| (c, k)));
        let rows: Vec<_> = all.map(|(c, k)| seen(c, k, 63, 86_400_000_000)).collect();
        assert_fits(inside(&rows));
        assert_fits(below(&rows));
    }

    #[test]
    fn the_cpus_are_added_up() {
        let one = |context, cpu| seen(context, Kind::Task, cpu, 7);
        let all = [
            one(Context::Task, 0),
            one(Context::Task, 1),
            one(Context::Nmi, 0),
        ];
        let rows = summed(&all);
        assert_eq!(rows.len(), 2);
        assert_eq!((rows[0].runs, rows[0].below.ok()), (14, 14));
        assert_eq!(failed(&rows[0].inside), 14);
        assert_eq!((rows[1].runs, rows[1].context), (7, Context::Nmi));
    }
}
