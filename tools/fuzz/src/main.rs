// SPDX-License-Identifier: GPL-2.0
//! `ostor-fuzz`: every command of `/dev/owner_storage` with right, nearly right and
//! wild arguments, on descriptors of all kinds, while other threads replace and
//! close those and processes fork, execute and die. To be run in a guest as root:
//! the kernel's log says whether it went well, and the module's statistics whether
//! anything is left.

mod cli;
mod coverage;
mod generate;
mod grammar;
mod slots;
mod sys;
mod tally;
mod worker;
mod world;

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Parser;
use nix::sys::resource::{Resource, setrlimit};
use ostor::progress::Progress;
use ostor::random::Random;
use ostor::text::{grouped, table, verdict};
use ostor::{device, settle};
use uapi::ostor_stats;

use crate::cli::Cli;
use crate::coverage::Module;
use crate::tally::Tally;
use crate::worker::{Done, Plan};
use crate::world::World;

/// Descriptors that this process may have.
const DESCRIPTORS: u64 = 1024;

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("ostor-fuzz: {error:#}");
            ExitCode::from(6)
        }
    }
}

fn run(cli: &Cli) -> Result<bool> {
    setrlimit(Resource::RLIMIT_NOFILE, DESCRIPTORS, DESCRIPTORS)
        .context("cannot have enough descriptors")?;
    let before = device::stats()?;
    let module = Module::loaded()?;
    let grammars = grammar::all();
    let done = {
        let world = World::create(&mut Random::new(cli.seed, u64::MAX))?;
        let done = fuzz(
            cli,
            &Plan {
                grammars: &grammars,
                world: &world,
                module: &module,
                left: AtomicU64::new(cli.ops),
                end: end_of(cli.seconds),
                seed: cli.seed,
            },
        );
        world.end();
        done?
    };

    let mut tally = Tally::new(grammars.len());
    done.iter().for_each(|done| tally.merge(&done.tally));
    println!("{}", tally.as_table(&grammars));
    println!("calls: {}", grouped(tally.calls()));
    println!("{}", covered(&module, &done));
    let ok = nothing_left(&before)? && tally.calls() > 0;
    println!("fuzz: {}", verdict(ok, 0));
    Ok(ok)
}

fn end_of(seconds: u64) -> Instant {
    // So far away that nobody sees it come.
    let seconds = if seconds == 0 { 1 << 30 } else { seconds };
    Instant::now() + Duration::from_secs(seconds)
}

/// Runs the threads.
fn fuzz(cli: &Cli, plan: &Plan<'_>) -> Result<Vec<Done>> {
    thread::scope(|scope| {
        let threads: Vec<_> = (0..usize::from(cli.threads))
            .map(|number| scope.spawn(move || worker::work(plan, number)))
            .collect();
        let mut progress = Progress::new("ioctls", cli.ops);
        while !threads.iter().all(|thread| thread.is_finished()) {
            thread::sleep(Duration::from_millis(50));
            progress.at(cli.ops - plan.left.load(Ordering::Relaxed));
        }
        let join = |thread: thread::ScopedJoinHandle<'_, Result<Done>>| {
            thread.join().expect("a worker does not panic")
        };
        threads.into_iter().map(join).collect()
    })
}

/// What KCOV tells, if the kernel has it.
fn covered(module: &Module, done: &[Done]) -> String {
    let run: Option<Vec<_>> = done.iter().map(|done| done.run.as_ref()).collect();
    let Some(run) = run else {
        return "coverage: this kernel has no KCOV".to_owned();
    };
    let all: BTreeSet<u64> = run.into_iter().flatten().copied().collect();
    let functions = module.device_functions(&all);
    format!(
        "coverage: {} places in {}; of the device's {} functions {}",
        grouped(all.len() as u64),
        module.name(),
        functions.all,
        functions.hit
    )
}

/// Waits until all is gone, and prints what is not.
fn nothing_left(before: &ostor_stats) -> Result<bool> {
    let after = settle::stats_back_to(before)?;
    let allocated = after.allocated - before.allocated;
    let mut figures: Vec<(&str, u64, u64)> = settle::ALIVE
        .into_iter()
        .zip(settle::alive(&after))
        .zip(settle::alive(before))
        .map(|((what, after), before)| (what, after, before))
        .collect();
    figures.extend([
        ("values dropped", after.dropped - before.dropped, allocated),
        ("values freed", after.freed - before.freed, allocated),
        ("late_free", after.late_free, before.late_free),
        ("stale", after.stale, before.stale),
        ("omem_left", after.omem_left, before.omem_left),
    ]);
    let rows = figures
        .iter()
        .map(|(what, after, must_be)| [(*what).to_owned(), grouped(*after), grouped(*must_be)]);
    println!("{}", table(["at the end", "is", "must be"], rows));
    Ok(figures.iter().all(|(_, after, must_be)| after == must_be))
}
