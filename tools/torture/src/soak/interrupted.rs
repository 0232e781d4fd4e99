// SPDX-License-Identifier: GPL-2.0
//! A value that is updated and looked up by threads and by the timers and NMIs that
//! interrupt them. It is never deleted, so every lookup must find it.

use std::time::Duration;

use anyhow::Result;
use nix::errno::Errno;
use ostor::device::{self, Kind, Map, Mode};
use ostor::kernel::Kernel;
use ostor::object::Object;
use ostor::random::Random;
use ostor::torture::{Context, Op, OpKind, OpStats, Run, TortureDevice};

use crate::cpus;
use crate::stress::worker::Injected;
use ostor::report::Report;

/// The interrupting contexts. An NMI also comes while interrupts are disabled.
const CONTEXTS: [Context; 2] = [Context::Timer, Context::Nmi];

/// Time between two interruptions.
const PERIOD: Duration = Duration::from_micros(100);

/// Duration of one call of the driver, whose threads occupy every CPU.
const TIME: Duration = Duration::from_millis(100);

/// The map and owner of the value, and the contexts that this machine has.
pub(super) struct Interrupted {
    map: Map,
    owner: Object,
    cpus: Vec<usize>,
    contexts: Vec<Context>,
}

impl Interrupted {
    /// Stores the value, before faults are injected, and finds out which contexts there
    /// are.
    pub(super) fn new(device: &TortureDevice, kind: Kind, report: &mut Report) -> Result<Self> {
        let (map, owner) = (Map::create(8)?, Object::new(kind)?);
        map.update(owner.owner(), b"always", Mode::NoExist)?;
        let mut new = Self {
            map,
            owner,
            cpus: cpus::usable_by_drivers()?,
            contexts: Vec::new(),
        };
        let kernel = Kernel::running()?;
        for context in CONTEXTS {
            match new.run(device, context, Duration::from_millis(1)) {
                _ if !kernel.allocates_in(context) => {
                    report.skip(&context.to_string(), "this kernel cannot allocate there");
                }
                Err(error) if error.errno() == Errno::EOPNOTSUPP => {
                    report.skip(
                        &context.to_string(),
                        "this kernel or machine has no such context",
                    );
                }
                done => {
                    done?;
                    new.contexts.push(context);
                }
            }
        }
        Ok(new)
    }

    /// Interrupts the threads for a moment in one of the contexts.
    pub(super) fn one(
        &self,
        device: &TortureDevice,
        random: &mut Random,
        injected: Injected,
        report: &mut Report,
    ) {
        if self.contexts.is_empty() {
            return;
        }
        let context = self.contexts[random.below(self.contexts.len())];
        match self.run(device, context, TIME) {
            Ok([inside, below]) => {
                for (what, stats) in [("in", inside), ("below", below)] {
                    let what = format!("{what} {context}");
                    report.add(&format!("{what}: ok"), stats.ok());
                    self.check(&what, &stats, injected, report);
                }
            }
            Err(error) if injected.explains(error.errno()) => report.add("interrupted: ENOMEM", 1),
            Err(error) => report.problem(format!("interrupting by {context}: {error}")),
        }
    }

    /// The results in the context, and those of the threads that it interrupted.
    fn run(
        &self,
        device: &TortureDevice,
        context: Context,
        time: Duration,
    ) -> device::Result<[OpStats; 2]> {
        let op = |kind, mode| Op {
            kind,
            mode,
            map: &self.map,
            owner: self.owner.owner(),
            seed: 0,
        };
        let run = Run {
            context,
            ops: &[
                op(OpKind::Update, Mode::Exist),
                op(OpKind::Lookup, Mode::Any),
            ],
            cpus: &self.cpus,
            period: PERIOD,
            below: true,
        };
        let mut all = [OpStats::default(), OpStats::default()];
        for cpu in run.run(device, time)? {
            all[0].add(&cpu.inside.into());
            all[1].add(&cpu.below.into());
        }
        Ok(all)
    }

    fn check(&self, what: &str, stats: &OpStats, injected: Injected, report: &mut Report) {
        let missed = stats.found_nothing();
        if missed > 0 {
            report.problem(format!(
                "{what}: {missed} lookups or updates missed a value that is never deleted"
            ));
        }
        for (errno, count) in stats.failures() {
            if injected.explains(errno) {
                report.add(&format!("{what}: {errno:?}"), count);
            } else {
                report.problem(format!("{what}: {count} operations failed with {errno:?}"));
            }
        }
        // An update that interrupts a section of the same owner is refused as well.
        report.add(&format!("{what}: EDEADLK"), stats.deadlocks());
    }
}
