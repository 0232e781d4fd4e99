// SPDX-License-Identifier: GPL-2.0

//! Running a scenario in all its interleavings, or in many.

use crate::{
    mock,
    storage::runtime::{
        Running,
        Runtime,
        Sizes, //
    },
    sync::{
        fault::{
            self,
            Plan, //
        },
        trace, //
    },
};
use machine::{
    engine::Engine,
    Setup, //
};
use std::{
    env,
    mem::ManuallyDrop,
    sync::{
        atomic::{
            AtomicUsize,
            Ordering, //
        },
        Arc, //
    },
    time::Instant,
};

/// How a scenario is explored.
#[derive(Copy, Clone)]
pub(crate) struct Explore {
    /// What it is called where its figures are printed.
    name: &'static str,
    /// The most preemptions of an interleaving, for loom; `LOOM_MAX_PREEMPTIONS` overrides it.
    preemptions: usize,
    kworkers: usize,
}

/// Thread switches after which an execution is taken to run for ever.
const BRANCHES: usize = 20_000;

/// Executions of each scenario by shuttle, if `SHUTTLE_ITERATIONS` does not say.
const ITERATIONS: usize = 300;

fn number(variable: &str) -> Option<usize> {
    let value = env::var(variable).ok()?;
    Some(value.parse().expect("the variable wants a number"))
}

impl Explore {
    /// With three preemptions, and whoever sleeps doing the kworkers' work.
    pub(crate) const fn new(name: &'static str) -> Self {
        Self {
            name,
            preemptions: 3,
            kworkers: 0,
        }
    }

    /// With so many preemptions.
    pub(crate) const fn preemptions(mut self, preemptions: usize) -> Self {
        self.preemptions = preemptions;
        self
    }

    /// With threads of their own for kworkers: one does all works, two let them run at once.
    pub(crate) const fn kworkers(mut self, kworkers: usize) -> Self {
        self.kworkers = kworkers;
        self
    }

    /// All interleavings, with each plan of faults.
    pub(crate) fn loom(self, plans: &[Plan], scenario: fn()) {
        let (started, runs) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
        for &plan in plans {
            let mut builder = loom::model::Builder::new();
            builder.max_branches = BRANCHES;
            builder.preemption_bound =
                Some(number("LOOM_MAX_PREEMPTIONS").unwrap_or(self.preemptions));
            let runs = runs.clone();
            builder.check(move || {
                runs.fetch_add(1, Ordering::Relaxed);
                self.execution(Engine::Loom, plan, scenario);
            });
        }
        self.report("loom", plans.len(), &runs, started);
    }

    /// Random interleavings, each with one of the plans.
    pub(crate) fn shuttle(self, plans: &[Plan], scenario: fn()) {
        let (started, runs) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
        let mut config = shuttle::Config::new();
        config.stack_size = 1 << 18;
        config.silence_warnings = true;
        let iterations = number("SHUTTLE_ITERATIONS").unwrap_or(ITERATIONS);
        let scheduler = shuttle::scheduler::RandomScheduler::new(iterations);
        let all = plans.to_vec();
        let counted = runs.clone();
        shuttle::Runner::new(scheduler, config).run(move || {
            let run = counted.fetch_add(1, Ordering::Relaxed);
            self.execution(Engine::Shuttle, all[run % all.len()], scenario);
        });
        self.report("shuttle", plans.len(), &runs, started);
    }

    fn execution(self, engine: Engine, plan: Plan, scenario: fn()) {
        machine::begin(Setup {
            engine,
            kworkers: self.kworkers,
        });
        fault::begin(plan);
        trace::begin();
        mock::begin();
        let sizes = Sizes {
            map_bits: 4,
            index_bits: 4,
        };
        // What panics is left as it is: a drop would wait for ever.
        let running = ManuallyDrop::new(Running::start(sizes).expect("no runtime"));
        scenario();
        runtime().flush();
        assert!(runtime().stats.charged.get() == 0, "charges are left");
        assert!(runtime().stats.maps.get() == 0);
        drop(ManuallyDrop::into_inner(running));
        mock::end();
        machine::end();
    }

    fn report(self, engine: &str, plans: usize, runs: &AtomicUsize, started: Instant) {
        eprintln!(
            "{engine} {}: {} interleavings, {plans} plans of faults, {:.1} s",
            self.name,
            runs.load(Ordering::Relaxed),
            started.elapsed().as_secs_f32(),
        );
    }
}

/// The runtime of this execution.
pub(crate) fn runtime() -> &'static Runtime {
    Runtime::get().expect("no runtime")
}
