// SPDX-License-Identifier: GPL-2.0

//! Runs a scenario in all its interleavings, or in many random ones.

use crate::{
    mock,
    storage::{
        pending::Watermarks,
        runtime::{
            Running,
            Runtime,
            Sizes, //
        }, //
    },
    sync::{
        deferred,
        fault::{
            self,
            Plan, //
        },
        nolock,
        rcu,
        res_lock,
        trace, //
    },
};
use machine::{
    engine::Engine,
    Setup, //
};
use shuttle::rand::{
    thread_rng,
    Rng, //
};
use std::{
    env,
    mem::ManuallyDrop,
    str::FromStr,
    sync::{
        atomic::{
            AtomicBool,
            AtomicU64,
            AtomicUsize,
            Ordering, //
        },
        Arc, //
    },
    time::{
        Duration,
        Instant, //
    },
};

/// How a scenario is explored.
#[derive(Copy, Clone)]
pub(crate) struct Explore {
    /// The name that its figures are printed with.
    name: &'static str,
    /// The number of preemptions of an interleaving, at most, for loom. `LOOM_MAX_PREEMPTIONS`
    /// overrides it.
    preemptions: usize,
    kworkers: usize,
    watermarks: fn() -> Watermarks,
    /// Whether the runtime is dropped as soon as the scenario is over.
    hasty: bool,
}

/// The number of thread switches after which an execution is taken to run for ever.
const BRANCHES: usize = 20_000;

/// The size of a thread's stack in bytes, for shuttle.
const STACK: usize = 1 << 18;

/// The number in an environment variable, if it is set.
pub(crate) fn number<N: FromStr>(variable: &str) -> Option<N> {
    let value = env::var(variable).ok()?;
    match value.parse() {
        Ok(number) => Some(number),
        Err(_) => panic!("{variable} is to be a number, and is {value}"),
    }
}

impl Explore {
    /// Explores with three preemptions. There are no kworkers: a thread that waits for a work runs
    /// it.
    pub(crate) const fn new(name: &'static str) -> Self {
        Self {
            name,
            preemptions: 3,
            kworkers: 0,
            watermarks: || Watermarks::new(0, 0),
            hasty: false,
        }
    }

    /// Explores with so many preemptions.
    pub(crate) const fn preemptions(mut self, preemptions: usize) -> Self {
        self.preemptions = preemptions;
        self
    }

    /// Explores with so many kworkers. One runs all works in turn, and two run two at the same
    /// time.
    pub(crate) const fn kworkers(mut self, kworkers: usize) -> Self {
        self.kworkers = kworkers;
        self
    }

    /// Explores with these watermarks instead of the default ones.
    pub(crate) const fn watermarks(mut self, watermarks: fn() -> Watermarks) -> Self {
        self.watermarks = watermarks;
        self
    }

    /// Does not wait for anything at the end but what the runtime waits for in its drop.
    pub(crate) const fn hasty(mut self) -> Self {
        self.hasty = true;
        self
    }

    /// Explores all interleavings, with each plan of faults.
    pub(crate) fn loom(self, plans: &[Plan], scenario: fn()) {
        let figures = Figures::start();
        for &plan in plans {
            self.check(plan, &figures, scenario);
        }
        figures.report("loom", self.name, plans.len());
    }

    /// Explores all interleavings of several scenarios, with each plan of faults, and with an
    /// interrupt after the first step, the second one and so on, until it comes in no interleaving.
    /// A scenario gets the number of steps, and returns whether the interrupt has come.
    pub(crate) fn loom_at_each_step<S>(self, plans: &[Plan], scenarios: impl Iterator<Item = S>)
    where
        S: Fn(u64) -> bool + Copy + Send + Sync + 'static,
    {
        let figures = Figures::start();
        for scenario in scenarios {
            for &plan in plans {
                for step in 0.. {
                    let came = Arc::new(AtomicBool::new(false));
                    let comes = came.clone();
                    self.check(plan, &figures, move || {
                        comes.fetch_or(scenario(step), Ordering::Relaxed);
                    });
                    if !came.load(Ordering::Relaxed) {
                        break;
                    }
                }
            }
        }
        figures.report("loom", self.name, plans.len());
    }

    fn check(self, plan: Plan, figures: &Figures, scenario: impl Fn() + Send + Sync + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.max_branches = BRANCHES;
        builder.preemption_bound = Some(number("LOOM_MAX_PREEMPTIONS").unwrap_or(self.preemptions));
        let figures = figures.clone();
        builder.check(move || figures.count(self.execution(Engine::Loom, plan, &scenario)));
    }

    /// Runs the scenario once, on one CPU.
    pub(crate) fn once(self, scenario: impl Fn() + Send + Sync + 'static) {
        let mut config = shuttle::Config::new();
        config.stack_size = STACK;
        config.failure_persistence = shuttle::FailurePersistence::None;
        let scheduler = shuttle::scheduler::RandomScheduler::new_from_seed(0, 1);
        shuttle::Runner::new(scheduler, config).run(move || {
            self.execution(Engine::Shuttle, Plan::NONE, &scenario);
        });
    }

    /// Runs the scenario once, and returns the number of its steps.
    fn execution(self, engine: Engine, plan: Plan, scenario: impl FnOnce()) -> u64 {
        machine::begin(Setup {
            engine,
            kworkers: self.kworkers,
        });
        fault::begin(plan);
        trace::begin();
        res_lock::begin();
        deferred::begin();
        rcu::begin();
        nolock::begin();
        mock::begin();
        let sizes = Sizes {
            map_bits: 4,
            index_bits: 4,
        };
        // After a panic the runtime is not dropped: the drop would wait for ever.
        let running =
            ManuallyDrop::new(Running::start(sizes, (self.watermarks)()).expect("no runtime"));
        scenario();
        if !self.hasty {
            check_nothing_is_left();
        }
        drop(ManuallyDrop::into_inner(running));
        mock::end();
        machine::end()
    }
}

/// A scenario that shuttle runs, with two kworkers.
pub(crate) struct Random {
    explore: Explore,
    plans: Vec<Plan>,
    scenario: fn(),
}

impl Random {
    /// The scenario. Each run has one of the plans.
    pub(crate) fn new(name: &'static str, plans: &[Plan], scenario: fn()) -> Self {
        Self {
            explore: Explore::new(name).kworkers(2),
            plans: plans.to_vec(),
            scenario,
        }
    }

    /// The name.
    pub(crate) fn name(&self) -> &'static str {
        self.explore.name
    }

    /// Runs it in so many interleavings, and adds these to the figures.
    pub(crate) fn run(&self, interleavings: usize, figures: &Figures) {
        let mut config = shuttle::Config::new();
        config.stack_size = STACK;
        config.silence_warnings = true;
        let scheduler = shuttle::scheduler::RandomScheduler::new(interleavings);
        let (explore, scenario, plans) = (self.explore, self.scenario, self.plans.clone());
        let figures = figures.clone();
        shuttle::Runner::new(scheduler, config).run(move || {
            let plan = plans[thread_rng().gen_range(0..plans.len())];
            figures.count(explore.execution(Engine::Shuttle, plan, scenario));
        });
    }
}

/// The number of runs and steps, and the time since the start.
#[derive(Clone)]
pub(crate) struct Figures {
    started: Instant,
    runs: Arc<AtomicUsize>,
    steps: Arc<AtomicU64>,
}

impl Figures {
    /// Nothing was run yet.
    pub(crate) fn start() -> Self {
        Self {
            started: Instant::now(),
            runs: Arc::default(),
            steps: Arc::default(),
        }
    }

    fn count(&self, steps: u64) {
        self.runs.fetch_add(1, Ordering::Relaxed);
        self.steps.fetch_add(steps, Ordering::Relaxed);
    }

    /// The number of steps so far.
    pub(crate) fn steps(&self) -> u64 {
        self.steps.load(Ordering::Relaxed)
    }

    /// The number of interleavings so far.
    pub(crate) fn runs(&self) -> usize {
        self.runs.load(Ordering::Relaxed)
    }

    /// The time so far.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn report(&self, engine: &str, name: &str, plans: usize) {
        eprintln!(
            "{engine} {name}: {} interleavings, {} steps, {plans} plans of faults, {:.1} s",
            self.runs.load(Ordering::Relaxed),
            self.steps.load(Ordering::Relaxed),
            self.started.elapsed().as_secs_f32(),
        );
    }
}

/// Checks that everything was freed once the reaper has run.
fn check_nothing_is_left() {
    runtime().flush();
    let stats = &runtime().stats;
    assert!(stats.sum(|here| &here.charged) == 0, "charges are left");
    assert!(stats.maps.get() == 0 && stats.bytes() == 0);
    assert!(runtime().pending() == (0, 0), "what is freed is pending");
    assert!(stats.sum(|here| &here.allocated) == stats.sum(|here| &here.freed));
    assert!(stats.sum(|here| &here.deferred) == stats.finished.get());
}

/// The runtime of this execution.
pub(crate) fn runtime() -> &'static Runtime {
    Runtime::get().expect("no runtime")
}
