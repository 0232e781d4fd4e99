// SPDX-License-Identifier: GPL-2.0

//! Runs all scenarios in turn in random interleavings, on all CPUs of the host.

use super::{
    any,
    create,
    delete,
    hints,
    life,
    lookup,
    nested,
    overtaken,
    walk, //
};
use crate::explore::{
    number,
    Figures,
    Random, //
};
use std::{
    sync::{
        atomic::{
            AtomicBool,
            AtomicUsize,
            Ordering, //
        },
        Mutex, //
    },
    thread::{
        self,
        panicking, //
    },
    time::{
        Duration,
        Instant, //
    },
};

/// The number of steps in all, unless `SHUTTLE_STEPS` is set.
const STEPS: u64 = 3_000_000;

/// The number of interleavings of a scenario before the next one's turn.
const TURN: usize = 50;

/// How often progress is printed.
const PROGRESS: Duration = Duration::from_secs(10);

fn scenarios() -> Vec<Random> {
    let modules = [
        any::random,
        create::random,
        delete::random,
        hints::random,
        life::random,
        lookup::random,
        nested::random,
        overtaken::random,
        walk::random,
    ];
    modules.into_iter().flat_map(|module| module()).collect()
}

/// Prints the progress on standard error from time to time.
struct Progress(Mutex<Instant>);

impl Progress {
    fn show(&self, figures: &Figures, wanted: u64) {
        let mut last = self.0.lock().unwrap();
        if last.elapsed() < PROGRESS {
            return;
        }
        *last = Instant::now();
        let (steps, seconds) = (figures.steps(), figures.elapsed().as_secs_f64());
        let left = wanted.saturating_sub(steps) as f64 * seconds / steps as f64;
        eprintln!("shuttle: {steps} of {wanted} steps, about {left:.0} s left");
    }
}

/// Prints the name of a scenario that has failed, and stops the other threads.
struct Watch<'a>(&'a AtomicBool, &'static str);

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if panicking() {
            self.0.store(true, Ordering::Relaxed);
            eprintln!("shuttle: \"{}\" has failed", self.1);
        }
    }
}

#[test]
fn all_shuttle() {
    let wanted = number("SHUTTLE_STEPS").unwrap_or(STEPS);
    let (scenarios, figures) = (scenarios(), Figures::start());
    let (turns, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let progress = Progress(Mutex::new(Instant::now()));
    let take_turns = || {
        // Each scenario has one turn at least.
        loop {
            let turn = turns.fetch_add(1, Ordering::Relaxed);
            let enough = turn >= scenarios.len() && figures.steps() >= wanted;
            if enough || failed.load(Ordering::Relaxed) {
                break;
            }
            let scenario = &scenarios[turn % scenarios.len()];
            let _watch = Watch(&failed, scenario.name());
            scenario.run(TURN, &figures);
            progress.show(&figures, wanted);
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(take_turns))));
    eprintln!(
        "shuttle: {} scenarios, {} interleavings, {} steps, 0 violations, {:.1} s",
        scenarios.len(),
        figures.runs(),
        figures.steps(),
        figures.elapsed().as_secs_f32(),
    );
}
