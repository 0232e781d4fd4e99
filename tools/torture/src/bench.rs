// SPDX-License-Identifier: GPL-2.0
//! `ostor-torture bench`: the cost of the operations.

use anyhow::{Context, Result};
use comfy_table::Table;
use ostor::device::{self, Kind, Map, Owner};
use ostor::object::Object;
use ostor::optmem::{self, OtherLimit};
use ostor::torture::{Bench, BenchKind, TortureDevice};
use serde::Serialize;

use crate::cli::BenchArgs;
use crate::cpus;
use crate::stress::descriptors;
use ostor::exit::Exit;
use ostor::output::Output;
use ostor::progress::Progress;
use ostor::text::{brief, grouped, table};

/// Bytes per value, as in scripts/creation-speed.
const VALUE_SIZE: u32 = 64;

/// Iterations of a run. The elements that a run deletes are freed before the next run,
/// so with so few of them each run finds the allocator in the same state.
const ITERATIONS: u64 = 256;

/// Runs of each measurement with --quick. Each run waits until the elements that it
/// deleted are freed.
const QUICK_RUNS: usize = 8;

/// Runs of each measurement without --quick.
const RUNS: usize = 500;

const NOTE: &str = "\
ns:     per operation, less an empty loop, in the fastest run. With
        `scripts/vm --icount` one ns is one instruction. A ~ means that no other
        run took exactly as long.
later:  time of the reaper to free the deleted element, rounded to tens.
most:   in the slowest run, in which the allocator needed new pages or, without
        --icount, the host ran other work.

`scripts/creation-speed` measures BPF storage beside this module.";

/// One measurement, for each kind of owners.
struct Line {
    what: &'static str,
    kind: BenchKind,
    maps: u32,
}

/// The measurements with an owner.
const LINES: [Line; 6] = [
    Line::new("get hit, 1 map", BenchKind::GetHit, 1),
    Line::new("get hit, 16 maps", BenchKind::GetHit, 16),
    Line::new("get hit, 32 maps", BenchKind::GetHit, 32),
    Line::new("get miss, 1 map", BenchKind::GetMiss, 1),
    Line::new(
        "create + delete, the owner's first",
        BenchKind::CreateFirst,
        1,
    ),
    Line::new("create + delete, a later one", BenchKind::CreateLater, 2),
];

/// The measurements for a growing number of maps in which the owner has values. The
/// driver makes none of these maps.
const GROWTH: [Line; 3] = [
    Line::new("get hit", BenchKind::GetHit, 1),
    Line::new("get miss", BenchKind::GetMiss, 1),
    Line::new("create + delete", BenchKind::CreateFirst, 1),
];

/// The measurements without an owner, or with a slot of the driver's.
const OWNERLESS: [Line; 7] = [
    Line::new("get hit by slot, 1 map", BenchKind::SlotGetHit, 1),
    Line::new("get hit by slot, 16 maps", BenchKind::SlotGetHit, 16),
    Line::new("get miss by slot, 1 map", BenchKind::SlotGetMiss, 1),
    Line::new(
        "create + delete by slot, the first",
        BenchKind::SlotCreateFirst,
        1,
    ),
    Line::new(
        "create + delete by slot, a later one",
        BenchKind::SlotCreateLater,
        2,
    ),
    Line::new("rqspinlock lock + unlock", BenchKind::Lock, 1),
    Line::new("nolock allocate + free, 128 bytes", BenchKind::Alloc, 1),
];

/// The kinds of owners of the measurements.
const OWNERS: [Kind; 3] = [Kind::Task, Kind::Cgroup, Kind::Socket];

/// The result of a measurement, in nanoseconds per operation.
#[derive(Serialize)]
struct Measured {
    what: String,
    owner: Option<Kind>,
    kind: BenchKind,
    maps: u32,
    iterations: u64,
    /// Time in the fastest run.
    ns: u64,
    /// Least time of the reaper, rounded to tens.
    later_ns: u64,
    /// Whether another run took exactly as long as the fastest.
    repeatable: bool,
    /// Time in the slowest run.
    #[serde(skip)]
    most_ns: u64,
}

/// Runs the command.
pub(crate) fn run(args: &BenchArgs, output: &Output) -> Result<Exit> {
    let cpu = cpus::usable()?.into_iter().next().context("no CPU")?;
    cpus::bind_to(cpu)?;
    let stats = device::stats()?;
    let session = Session {
        device: TortureDevice::open()?,
        map: Map::create(VALUE_SIZE)?,
        runs: if args.quick { QUICK_RUNS } else { RUNS },
    };
    let (served, missing): (Vec<_>, Vec<_>) =
        OWNERS.into_iter().partition(|kind| kind.is_served(&stats));
    let measured = if args.maps.is_empty() {
        session.usual(&served)?
    } else {
        session.growth(&served, &args.maps)?
    };

    let mut text = as_table(&measured).to_string();
    for kind in missing {
        text.push_str(&format!("\nno {kind}: {}", kind.why_not_served()));
    }
    output.result(&measured, format!("{text}\n\n{NOTE}"))?;
    Ok(Exit::Ok)
}

impl Line {
    const fn new(what: &'static str, kind: BenchKind, maps: u32) -> Self {
        Self { what, kind, maps }
    }

    /// The name of the measurement where the owner has values in so many maps.
    fn with_maps(&self, maps: u32) -> String {
        let name = if maps == 1 { "map" } else { "maps" };
        format!("{}, {} {name}", self.what, grouped(maps.into()))
    }
}

/// The conditions of all measurements.
struct Session {
    device: TortureDevice,
    map: Map,
    runs: usize,
}

impl Session {
    /// Measures each line for each kind of owners, and the lines without an owner.
    fn usual(&self, kinds: &[Kind]) -> Result<Vec<Measured>> {
        let total = kinds.len() * LINES.len() + OWNERLESS.len();
        let mut measured = Vec::new();
        let mut progress = Progress::new("bench", total as u64);
        for kind in kinds {
            let object = Object::new(*kind)?;
            for line in &LINES {
                measured.push(self.measure(line, Some(&object))?);
                progress.at(measured.len() as u64);
            }
            object.end()?;
        }
        for line in &OWNERLESS {
            measured.push(self.measure(line, None)?);
            progress.at(measured.len() as u64);
        }
        Ok(measured)
    }

    /// Measures each line of [`GROWTH`] for each kind of owners and each number of maps,
    /// from the least on. The number includes the map that is measured.
    fn growth(&self, kinds: &[Kind], counts: &[u32]) -> Result<Vec<Measured>> {
        let mut counts = counts.to_vec();
        counts.sort_unstable();
        counts.dedup();
        let most = counts.last().map_or(0, |most| u64::from(*most));
        descriptors::allow(most)?;
        // Sockets are charged for their elements.
        let charge = 2 * most * u64::from(self.map.info()?.element_size);
        let _limit = OtherLimit::set(charge.max(optmem::limit()?))?;
        let total = kinds.len() * counts.len() * GROWTH.len();
        let mut measured = Vec::new();
        let mut progress = Progress::new("bench", total as u64);
        for kind in kinds {
            let object = Object::new(*kind)?;
            let mut others = Vec::new();
            for &maps in &counts {
                while others.len() + 1 < maps as usize {
                    let other = Map::create(VALUE_SIZE)?;
                    other.get_or_create(object.owner(), &[0; VALUE_SIZE as usize])?;
                    others.push(other);
                }
                for line in &GROWTH {
                    measured.push(Measured {
                        what: line.with_maps(maps),
                        maps,
                        ..self.measure(line, Some(&object))?
                    });
                    progress.at(measured.len() as u64);
                }
            }
            object.end()?;
        }
        Ok(measured)
    }

    fn measure(&self, line: &Line, object: Option<&Object>) -> Result<Measured> {
        let bench = Bench {
            kind: line.kind,
            owner: object.map_or(Owner::Current, Object::owner),
            maps: line.maps,
            iterations: ITERATIONS,
        };
        let mut figures = [Vec::new(), Vec::new()];
        for _ in 0..self.runs {
            let cost = bench.run(&self.device, &self.map)?;
            for (figures, total) in figures.iter_mut().zip([cost.ns, cost.reap_ns]) {
                figures.push(rounded(total, ITERATIONS));
            }
        }
        figures.iter_mut().for_each(|figures| figures.sort());
        let [ns, later_ns] = figures;
        Ok(Measured {
            what: line.what.to_owned(),
            owner: object.map(Object::kind),
            kind: line.kind,
            maps: line.maps,
            iterations: ITERATIONS,
            ns: ns[0],
            later_ns: rounded(later_ns[0], 10) * 10,
            repeatable: ns[0] == ns[1],
            most_ns: ns[self.runs - 1],
        })
    }
}

/// A quotient, rounded to the nearest whole number, so that a difference of one clock
/// reading does not show as an instruction.
fn rounded(total: u64, count: u64) -> u64 {
    (total + count / 2) / count
}

fn as_table(measured: &[Measured]) -> Table {
    let rows = measured.iter().map(|measured| {
        let about = if measured.repeatable { "" } else { "~" };
        [
            measured.owner.map_or("-", Kind::name).to_owned(),
            measured.what.clone(),
            format!("{about}{}", grouped(measured.ns)),
            brief(measured.later_ns),
            brief(measured.most_ns),
        ]
    });
    table(["owner", "operation", "ns", "later", "most"], rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ostor::text::assert_fits;

    #[test]
    fn the_table_fits() {
        let usual = LINES.iter().chain(&OWNERLESS);
        let names = usual.map(|line| line.what.to_owned());
        let growth = GROWTH.iter().map(|line| line.with_maps(16_384));
        let measured = names.chain(growth).map(|what| Measured {
            what,
            owner: Some(Kind::Cgroup),
            kind: BenchKind::GetHit,
            maps: 1,
            iterations: ITERATIONS,
            ns: 99_999,
            later_ns: 1_234_560,
            repeatable: false,
            most_ns: 1_234_567_890,
        });
        assert_fits(as_table(&measured.collect::<Vec<_>>()));
    }

    #[test]
    fn rounds_to_the_nearest() {
        assert_eq!(rounded(2_699_999, 100_000), 27);
        assert_eq!(rounded(2_700_002, 100_000), 27);
        assert_eq!(rounded(198, 10) * 10, 200);
    }
}
