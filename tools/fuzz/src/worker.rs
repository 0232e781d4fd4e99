// SPDX-License-Identifier: GPL-2.0
//! A thread that makes calls.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context, Result};
use nix::errno::Errno;
use ostor::random::Random;

use crate::coverage::Module;
use crate::environment::Environment;
use crate::generate::{Generator, Input};
use crate::grammar::Grammar;
use crate::results::Results;
use crate::sys::arena::Arena;
use crate::sys::call::Call;
use crate::sys::kcov::Kcov;

/// Number of calls between two changes of the environment.
const QUIET: u64 = 512;

/// Most arguments that are kept because they reached new code.
const CORPUS: usize = 1024;

/// The state that all threads share.
pub(crate) struct Plan<'a> {
    pub(crate) grammars: &'a [Grammar],
    pub(crate) environment: &'a Environment,
    pub(crate) module: &'a Module,
    /// Number of calls still to be made.
    pub(crate) left: AtomicU64,
    pub(crate) end: Instant,
    pub(crate) seed: u64,
}

/// The results of a thread.
pub(crate) struct Done {
    pub(crate) results: Results,
    /// Addresses in the module that its calls reached, or `None` without KCOV.
    pub(crate) run: Option<BTreeSet<u64>>,
}

struct Worker<'a> {
    plan: &'a Plan<'a>,
    generator: Generator<'a>,
    random: Random,
    kcov: Option<Kcov>,
    run: BTreeSet<u64>,
    corpus: Vec<Input>,
    results: Results,
}

/// Makes calls until the number or the time is reached.
pub(crate) fn work(plan: &Plan<'_>, number: usize) -> Result<Done> {
    let mut worker = Worker {
        plan,
        generator: Generator::new(
            plan.grammars,
            Arena::map(number + 1).context("cannot map memory for arguments")?,
        ),
        random: Random::new(plan.seed, number as u64),
        kcov: Kcov::start().context("cannot use KCOV")?,
        run: BTreeSet::new(),
        corpus: Vec::new(),
        results: Results::new(plan.grammars.len()),
    };
    while Instant::now() < plan.end {
        let Some(count) = plan.take(QUIET) else { break };
        (0..count).for_each(|_| worker.call());
        worker.change_environment()?;
    }
    Ok(Done {
        run: worker.kcov.is_some().then_some(worker.run),
        results: worker.results,
    })
}

impl Plan<'_> {
    /// Takes up to `most` of the calls that are left.
    fn take(&self, most: u64) -> Option<u64> {
        let taken = |left: u64| (left > 0).then(|| left.saturating_sub(most));
        let before = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken);
        before.ok().map(|left| left.min(most))
    }
}

impl Worker<'_> {
    /// Makes one call. Half of the arguments are variants of arguments that reached new
    /// code, once there are any.
    fn call(&mut self) {
        let random = &mut self.random;
        let mut input = if self.corpus.is_empty() || random.below(2) == 0 {
            self.generator.fresh(random)
        } else {
            let old = &self.corpus[random.below(self.corpus.len())];
            self.generator.variant(old, random)
        };
        let call = self.generator.call(&mut input, random);
        let result = self.make(&call, &input);
        self.results.add(input.grammar, result);
    }

    fn make(&mut self, call: &Call, input: &Input) -> Result<(), Errno> {
        let Some(kcov) = &self.kcov else {
            return call.run();
        };
        let (mut is_new, run, module) = (false, &mut self.run, self.plan.module);
        let result = kcov.trace(
            || call.run(),
            |address| is_new |= module.has(address) && run.insert(address),
        );
        if is_new {
            if self.corpus.len() < CORPUS {
                self.corpus.push(input.clone());
            } else {
                *self.random.pick_mut(&mut self.corpus) = input.clone();
            }
        }
        result
    }

    /// Changes the environment once.
    fn change_environment(&mut self) -> Result<()> {
        let Self {
            plan,
            generator,
            random,
            ..
        } = self;
        let mut of_child = Random::new(random.next(), 0);
        let calls = || {
            let mut input = generator.fresh(&mut of_child);
            generator.call(&mut input, &mut of_child)
        };
        plan.environment.change(calls, random)
    }
}
