// SPDX-License-Identifier: GPL-2.0
//! A value that is updated and looked up over and over, by threads and by what
//! interrupts them, wherever they are. It is never deleted, so it is always found.

use std::time::Duration;

use anyhow::Result;
use nix::errno::Errno;
use ostor::device::{Context, Kind, Map, Mode, Op, OpKind, Run, Tally};
use ostor::kernel::Kernel;
use ostor::object::Object;
use ostor::random::Random;

use crate::cpus;
use crate::stress::findings::Findings;
use crate::stress::player::Injected;

/// What interrupts. A timer comes anywhere but where interrupts are off, an NMI
/// there, too.
const CONTEXTS: [Context; 2] = [Context::Timer, Context::Nmi];

/// How often.
const PERIOD: Duration = Duration::from_micros(100);

/// How long at a time: threads that run on every CPU keep the others from it.
const TIME: Duration = Duration::from_millis(100);

/// Its map, its owner, and where it is interrupted.
pub(super) struct Interrupted {
    map: Map,
    owner: Object,
    cpus: Vec<usize>,
    contexts: Vec<Context>,
}

impl Interrupted {
    /// Makes one, while nothing fails yet. Notes what this kernel cannot do.
    pub(super) fn new(kind: Kind, findings: &mut Findings) -> Result<Self> {
        let (map, owner) = (Map::create(8)?, Object::new(kind)?);
        map.update(owner.owner(), b"always", Mode::NoExist)?;
        let cpus = cpus::usable()?.into_iter().filter(|&cpu| cpu < 64);
        let mut new = Self {
            map,
            owner,
            cpus: cpus.collect(),
            contexts: Vec::new(),
        };
        let kernel = Kernel::running()?;
        for context in CONTEXTS {
            match new.run(context, Duration::from_millis(1)) {
                _ if !kernel.allocates_in(context) => {
                    findings.skip(context.name(), "this kernel has no memory there");
                }
                Err(error) if error.errno() == Errno::EOPNOTSUPP => {
                    findings.skip(context.name(), "this kernel or machine has no such context");
                }
                done => {
                    done?;
                    new.contexts.push(context);
                }
            }
        }
        Ok(new)
    }

    /// Has it interrupted for a moment in one of the contexts.
    pub(super) fn one(&self, random: &mut Random, injected: Injected, findings: &mut Findings) {
        if self.contexts.is_empty() {
            return;
        }
        let context = self.contexts[random.below(self.contexts.len())];
        match self.run(context, TIME) {
            Ok([inside, below]) => {
                for (what, tally) in [("in", inside), ("below", below)] {
                    let what = format!("{what} {}", context.name());
                    findings.add(&format!("{what}: ok"), tally.ok());
                    self.check(&what, &tally, injected, findings);
                }
            }
            Err(error) if injected.explains(error.errno()) => {
                findings.add("interrupted: ENOMEM", 1)
            }
            Err(error) => findings.problem(format!("interrupting by {}: {error}", context.name())),
        }
    }

    /// What came out in the context, and in the threads below it.
    fn run(&self, context: Context, time: Duration) -> ostor::device::Result<[Tally; 2]> {
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
        let mut all = [Tally::default(), Tally::default()];
        for cpu in run.run(&self.map, time)? {
            all[0].add(&cpu.inside.into());
            all[1].add(&cpu.below.into());
        }
        Ok(all)
    }

    fn check(&self, what: &str, tally: &Tally, injected: Injected, findings: &mut Findings) {
        let missed = tally.found_nothing();
        if missed > 0 {
            findings.problem(format!(
                "{what}: {missed} times, a value that is only updated was not found"
            ));
        }
        for (errno, count) in tally.failures() {
            if injected.explains(errno) {
                findings.add(&format!("{what}: {errno:?}"), count);
            } else {
                findings.problem(format!("{what}: {count} times {errno:?}"));
            }
        }
        // What interrupts a section of the same owner's is refused, too.
        findings.add(&format!("{what}: EDEADLK"), tally.deadlocks());
    }
}
