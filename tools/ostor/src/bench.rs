// SPDX-License-Identifier: GPL-2.0
//! `ostor bench`: what the operations cost.

use anyhow::{Context, Result};
use ostor::device::{Bench, BenchKind, Cost, Map};
use serde::Serialize;

use crate::cli::BenchArgs;
use crate::cpus;
use crate::exit::Exit;
use crate::output::{Output, table};
use crate::progress::Progress;

/// The value size that the figures of BPF were measured with.
const VALUE_SIZE: u32 = 64;

const NOTE: &str = "\
ns:     per operation, the empty loop's taken off. Under `scripts/vm --icount`
        one ns is one instruction and the figures repeat exactly; elsewhere
        they vary.
later:  what freeing what was deleted costs the reaper, in the background.
BPF:    task storage of Linux 7.3.4, 64-byte values, measured under -icount:
        comparable only under --icount.";

/// One line of the table.
struct Line {
    what: &'static str,
    kind: BenchKind,
    maps: u32,
    /// Iterations of a quick run.
    quick: u64,
    /// The same in BPF's task storage, where it was measured.
    bpf: Option<f64>,
}

const LINES: [Line; 8] = [
    Line::new("get hit, 1 map", BenchKind::GetHit, 1, Some(28.0)),
    Line::new("get hit, 16 maps", BenchKind::GetHit, 16, Some(28.0)),
    Line::new("get hit, 32 maps", BenchKind::GetHit, 32, Some(227.0)),
    Line::new("get miss, 1 map", BenchKind::GetMiss, 1, None),
    Line::new(
        "create + delete, the owner's first",
        BenchKind::CreateFirst,
        1,
        Some(2225.0),
    ),
    Line::new(
        "create + delete, a later one",
        BenchKind::CreateLater,
        2,
        Some(1388.0),
    ),
    Line::new("rqspinlock lock + unlock", BenchKind::Lock, 1, Some(31.0)),
    Line::new(
        "nolock allocate + free, 128 bytes",
        BenchKind::Alloc,
        1,
        Some(217.0),
    ),
];

/// What was measured.
#[derive(Serialize)]
struct Measured {
    what: &'static str,
    #[serde(flatten)]
    bench: Bench,
    /// What all iterations cost, each time.
    costs: [Cost; 2],
    ns_per_operation: f64,
    reap_ns_per_operation: f64,
    repeatable: bool,
    bpf_under_icount: Option<f64>,
}

/// `ostor bench`
pub(crate) fn run(args: &BenchArgs, output: &Output) -> Result<Exit> {
    let cpu = cpus::usable()?.into_iter().next().context("no CPU")?;
    cpus::stay_on(cpu)?;
    let map = Map::create(VALUE_SIZE)?;
    let mut measured = Vec::new();
    let mut progress = Progress::new("bench", LINES.len() as u64);
    for line in &LINES {
        measured.push(line.measure(&map, args.quick)?);
        progress.at(measured.len() as u64);
    }
    drop(progress);

    let head = ["operation", "ns", "later", "twice the same", "BPF"];
    let text = table(head, measured.iter().map(Measured::row)).to_string();
    output.result(&measured, format!("{text}\n\n{NOTE}"))?;
    Ok(Exit::Ok)
}

impl Line {
    const fn new(what: &'static str, kind: BenchKind, maps: u32, bpf: Option<f64>) -> Self {
        let quick = match kind {
            BenchKind::GetHit | BenchKind::GetMiss | BenchKind::Lock => 100_000,
            BenchKind::CreateFirst | BenchKind::CreateLater | BenchKind::Alloc => 10_000,
        };
        Self {
            what,
            kind,
            maps,
            quick,
            bpf,
        }
    }

    fn measure(&self, map: &Map, quick: bool) -> Result<Measured> {
        let iterations = if quick { self.quick } else { self.quick * 10 };
        let bench = Bench {
            kind: self.kind,
            maps: self.maps,
            iterations,
        };
        let costs = [bench.run(map)?, bench.run(map)?];
        Ok(Measured {
            what: self.what,
            bench,
            costs,
            ns_per_operation: costs[1].ns as f64 / iterations as f64,
            reap_ns_per_operation: costs[1].reap_ns as f64 / iterations as f64,
            repeatable: costs[0] == costs[1],
            bpf_under_icount: self.bpf,
        })
    }
}

impl Measured {
    fn row(&self) -> [String; 5] {
        let repeatable = if self.repeatable {
            "yes".to_owned()
        } else {
            let per = |cost: Cost| cost.ns as f64 / self.bench.iterations as f64;
            format!("no: {:.1}, {:.1}", per(self.costs[0]), per(self.costs[1]))
        };
        let bpf = self.bpf_under_icount.map(|ns| format!("{ns:.0}"));
        [
            self.what.to_owned(),
            format!("{:.1}", self.ns_per_operation),
            format!("{:.1}", self.reap_ns_per_operation),
            repeatable,
            bpf.unwrap_or_else(|| "-".to_owned()),
        ]
    }
}
