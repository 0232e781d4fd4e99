// SPDX-License-Identifier: GPL-2.0
//! `ostor-torture contexts`: the operations in every context.

use std::time::{Duration, Instant};

use anyhow::Result;
use comfy_table::Table;
use nix::errno::Errno;
use ostor::device::{self, Kind, Map, Mode};
use ostor::exit::{Exit, UsageError};
use ostor::histogram::{bars, strips};
use ostor::kernel::Kernel;
use ostor::object::Object;
use ostor::output::Output;
use ostor::progress::Progress;
use ostor::report::Report;
use ostor::settle;
use ostor::text::{brief, table, time};
use ostor::torture::{Context, Op, OpKind, OpStats, Run, TortureDevice};
use serde::Serialize;
use serde_json::json;

use crate::cli::ContextsArgs;
use crate::cpus;

/// Bytes per value.
const VALUE_SIZE: u32 = 16;

/// Duration of one call of the driver, between which progress is shown.
const SLICE: Duration = Duration::from_secs(2);

const NOTE: &str = "\
runs:     batches in the wanted context. The other columns count operations.
none:     operations that failed with ENOENT: a concurrent delete came first.
EDEADLK:  this CPU held the lock that the operation needs.
p50, p99: upper bounds of the time of an operation in the context; the
          histogram's buckets are powers of two.";

/// The results of one context on one CPU, or on all.
#[derive(Clone, Debug, Serialize)]
struct Row {
    context: Context,
    owner: Kind,
    cpu: u32,
    runs: u64,
    elsewhere: u64,
    inside: OpStats,
    below: OpStats,
}

/// The results of all contexts.
#[derive(Debug, Default)]
struct Results {
    rows: Vec<Row>,
    report: Report,
    /// The contexts in which this kernel cannot allocate.
    without_memory: Vec<Context>,
}

/// Runs the command.
pub(crate) fn run(args: &ContextsArgs, output: &Output) -> Result<Exit> {
    let device = TortureDevice::open()?;
    let cpus = chosen_cpus(&args.cpus)?;
    let all_contexts: Vec<_> = Context::all().collect();
    let contexts = chosen(&args.context, &all_contexts);
    let kinds = chosen(&args.owner, &Kind::ALL);
    let ops = chosen(&args.op, &OpKind::ALL);
    let time = Duration::from_secs(args.seconds);
    let total = args.seconds * (contexts.len() * kinds.len()) as u64;
    let mut progress = Progress::new("seconds", total);
    let start = Instant::now();
    let (mut results, kernel) = (Results::default(), Kernel::running()?);
    for context in contexts {
        let has_memory = kernel.allocates_in(context);
        if !has_memory {
            results.without_memory.push(context);
        }
        for &kind in &kinds {
            let session = Session {
                device: &device,
                context,
                kind,
                ops: &ops,
                cpus: &cpus,
                period: Duration::from_micros(args.period_us.into()),
                below: !args.alone && context != Context::Task,
                has_memory,
            };
            session.run(time, &mut results, || {
                progress.at(start.elapsed().as_secs());
            })?;
        }
    }
    drop(progress);
    results.print(output)
}

/// The chosen CPUs, or all.
fn chosen_cpus(chosen: &[usize]) -> Result<Vec<usize>> {
    let mut cpus = cpus::usable_by_drivers()?;
    if let Some(cpu) = chosen.iter().find(|cpu| !cpus.contains(cpu)) {
        return Err(UsageError(format!("there is no CPU {cpu} that can be used")).into());
    }
    if !chosen.is_empty() {
        cpus.retain(|cpu| chosen.contains(cpu));
    }
    Ok(cpus)
}

/// The chosen items, or all.
fn chosen<T: Copy>(chosen: &[T], all: &[T]) -> Vec<T> {
    match chosen {
        [] => all,
        chosen => chosen,
    }
    .to_vec()
}

/// One context and one kind of owners.
struct Session<'a> {
    device: &'a TortureDevice,
    context: Context,
    kind: Kind,
    ops: &'a [OpKind],
    cpus: &'a [usize],
    period: Duration,
    below: bool,
    /// Whether this kernel can allocate in the context.
    has_memory: bool,
}

impl Session<'_> {
    fn name(&self) -> String {
        format!("{}, {} as owner", self.context, self.kind)
    }

    fn run(&self, time: Duration, results: &mut Results, mut tick: impl FnMut()) -> Result<()> {
        let before = device::stats()?;
        if !self.kind.is_served(&before) {
            results
                .report
                .skip(&self.name(), self.kind.why_not_served());
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
        let rows = self.repeat(&run, time, &mut tick);
        object.end()?;
        drop(map);
        match rows {
            Ok(rows) => self.judge(rows, results),
            Err(error) if error.errno() == Errno::EOPNOTSUPP => {
                let why = "this kernel or machine has no such context";
                results.report.skip(&self.name(), why);
            }
            Err(error) => return Err(error.into()),
        }
        self.expect_nothing_left(&before, &mut results.report)
    }

    /// Runs the operations for `time`, in slices.
    fn repeat(
        &self,
        run: &Run<'_>,
        time: Duration,
        tick: &mut impl FnMut(),
    ) -> device::Result<Vec<Row>> {
        let mut rows: Vec<_> = self.cpus.iter().map(|&cpu| self.empty_row(cpu)).collect();
        let mut left = time;
        while !left.is_zero() {
            let slice = left.min(SLICE);
            for (row, more) in rows.iter_mut().zip(run.run(self.device, slice)?) {
                row.runs += more.runs;
                row.elsewhere += more.elsewhere;
                row.inside.add(&more.inside.into());
                row.below.add(&more.below.into());
            }
            left -= slice;
            tick();
        }
        Ok(rows)
    }

    fn empty_row(&self, cpu: usize) -> Row {
        Row {
            context: self.context,
            owner: self.kind,
            cpu: cpu as u32,
            runs: 0,
            elsewhere: 0,
            inside: OpStats::default(),
            below: OpStats::default(),
        }
    }

    /// Checks the results of all CPUs.
    fn judge(&self, rows: Vec<Row>, results: &mut Results) {
        // An architecture without NMIs delivers them as interrupts.
        if self.context == Context::Nmi && rows.iter().all(|row| row.runs == 0) {
            let elsewhere: u64 = rows.iter().map(|row| row.elsewhere).sum();
            if elsewhere != 0 {
                let why = "this machine delivers NMIs as interrupts";
                results.report.skip(&self.name(), why);
                return;
            }
        }
        for row in rows {
            let mut problem = |text| {
                let text = format!("{}, CPU {}: {text}", self.name(), row.cpu);
                results.report.problem(text);
            };
            if row.runs == 0 {
                problem("no batch ran in the context".to_owned());
            }
            if self.below && row.below.ok() == 0 {
                problem("no operation of the thread below succeeded".to_owned());
            }
            let may_cycle = self.context.comes_under_locks();
            for (place, stats, may_cycle, has_memory) in [
                ("in the context", &row.inside, may_cycle, self.has_memory),
                ("below it", &row.below, false, true),
            ] {
                for (errno, count) in stats.failures() {
                    if errno == Errno::ENOMEM && !has_memory {
                        continue;
                    }
                    problem(format!("{count} operations {place} failed with {errno:?}"));
                }
                if stats.deadlocks() != 0 && !may_cycle {
                    let count = stats.deadlocks();
                    problem(format!("{count} operations {place} failed with EDEADLK"));
                }
            }
            results.rows.push(row);
        }
    }

    fn expect_nothing_left(&self, before: &uapi::ostor_stats, report: &mut Report) -> Result<()> {
        let after = settle::stats_back_to(before)?;
        if settle::alive(&after) != settle::alive(before)
            || after.allocated - before.allocated != after.freed - before.freed
        {
            report.problem(format!(
                "{}: objects left: {after:?}, before: {before:?}",
                self.name()
            ));
        }
        Ok(())
    }
}

impl Results {
    fn print(&self, output: &Output) -> Result<Exit> {
        let rows = summed(&self.rows);
        let mut text = format!(
            "Operations in the context, on all CPUs together:\n{}\n\n\
             Their times, and the operations of the thread below:\n{}\n\n{}\n\n{NOTE}\n",
            inside(&rows),
            below(&rows),
            drawn(&rows),
        );
        for context in &self.without_memory {
            text.push_str(&format!(
                "\nno memory: {context}: this kernel cannot allocate there, so creates and \
                 updates fail"
            ));
        }
        let fields = json!({ "seen": self.rows, "without_memory": self.without_memory });
        self.report.print_with("contexts", fields, text, output)
    }
}

/// The sums over the CPUs.
fn summed(rows: &[Row]) -> Vec<Row> {
    let mut sums: Vec<Row> = Vec::new();
    for row in rows {
        let is_same = |sum: &&mut Row| (sum.context, sum.owner) == (row.context, row.owner);
        match sums.iter_mut().find(is_same) {
            Some(sum) => {
                sum.runs += row.runs;
                sum.elsewhere += row.elsewhere;
                sum.inside.add(&row.inside);
                sum.below.add(&row.below);
            }
            None => sums.push(row.clone()),
        }
    }
    sums
}

/// The table of results in the contexts.
fn inside(rows: &[Row]) -> Table {
    let cells = rows.iter().map(|row| {
        [
            row.context.to_string(),
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

/// The table of times in the contexts, and of results of the thread below.
fn below(rows: &[Row]) -> Table {
    let cells = rows.iter().map(|row| {
        let percentile = |percent| row.inside.percentile_ns(percent).map_or("-".into(), time);
        [
            row.context.to_string(),
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

/// The times in the contexts, drawn: bars for a single row, a strip for each of several.
fn drawn(rows: &[Row]) -> String {
    match rows {
        [row] => bars(row.inside.histogram()),
        rows => {
            let strip = |row: &Row| {
                let name = format!("{:9} {}", row.context, row.owner);
                (name, row.inside.histogram().to_vec())
            };
            let named: Vec<_> = rows.iter().map(strip).collect();
            let named: Vec<_> = named
                .iter()
                .map(|(name, buckets)| (name.clone(), buckets.as_slice()))
                .collect();
            strips(&named)
        }
    }
}

/// Number of operations that failed, other than with ENOENT or EDEADLK.
fn failed(stats: &OpStats) -> u64 {
    stats.failures().iter().map(|(_, count)| count).sum()
}

#[cfg(test)]
mod tests {
    use ostor::text::{COLUMNS, assert_fits};
    use uapi::ostor_op_stats;

    use super::*;

    fn row(context: Context, owner: Kind, cpu: u32, count: u64) -> Row {
        let mut stats = ostor_op_stats {
            ok: count,
            enoent: count,
            enomem: count,
            edeadlk: count,
            max_ns: count,
            ..ostor_op_stats::default()
        };
        stats.histogram[30] = count;
        Row {
            context,
            owner,
            cpu,
            runs: count,
            elsewhere: 0,
            inside: stats.into(),
            below: stats.into(),
        }
    }

    #[test]
    fn the_tables_fit_after_a_day() {
        let all = Context::all().flat_map(|context| Kind::ALL.map(|kind| (context, kind)));
        let rows: Vec<_> = all.map(|(c, k)| row(c, k, 63, 86_400_000_000)).collect();
        assert_fits(inside(&rows));
        assert_fits(below(&rows));
        let strips = drawn(&rows);
        assert_eq!(strips.lines().count(), 1 + 9 * 4, "{strips}");
        for text in [strips, drawn(&rows[..1]), NOTE.to_owned()] {
            assert!(text.lines().all(|line| line.len() <= COLUMNS), "{text}");
        }
    }

    #[test]
    fn the_cpus_are_added_up() {
        let one = |context, cpu| row(context, Kind::Task, cpu, 7);
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

    #[test]
    fn one_context_alone_has_bars() {
        let text = drawn(&[row(Context::Nmi, Kind::Task, 0, 7)]);
        assert!(text.contains("1.07 s"), "{text}");
        assert!(
            text.ends_with("|****************************************|"),
            "{text}"
        );
    }
}
