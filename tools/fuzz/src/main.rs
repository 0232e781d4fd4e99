// SPDX-License-Identifier: GPL-2.0
//! `ostor-fuzz`: every command of the device with valid, nearly valid and random arguments,
//! on descriptors of all kinds, while other threads replace and close these and processes
//! fork, execute and die. Runs as root in a guest: the kernel's log shows faults, and the
//! module's statistics show whether an object is left.

mod cli;
mod coverage;
mod environment;
mod generate;
mod grammar;
mod results;
mod slots;
mod sys;
mod worker;

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::resource::{Resource, setrlimit};
use ostor::device;
use ostor::exit::Exit;
use ostor::output::Output;
use ostor::program;
use ostor::progress::Progress;
use ostor::random::Random;
use ostor::report::Report;
use ostor::text::grouped;
use serde_json::json;

use crate::cli::Cli;
use crate::coverage::Module;
use crate::environment::Environment;
use crate::results::Results;
use crate::worker::{Done, Plan};

/// Limit of open descriptors of this process.
const DESCRIPTORS: u64 = 1024;

fn main() -> ExitCode {
    program::main(|cli: &Cli| cli.json, |cli, output| run(&cli, output))
}

fn run(cli: &Cli, output: &Output) -> Result<Exit> {
    setrlimit(Resource::RLIMIT_NOFILE, DESCRIPTORS, DESCRIPTORS)
        .context("cannot have enough descriptors")?;
    let before = device::stats()?;
    let module = Module::loaded()?;
    let grammars = grammar::all();
    let done = {
        let environment = Environment::create(&mut Random::new(cli.seed, u64::MAX))?;
        let done = fuzz(
            cli,
            &Plan {
                grammars: &grammars,
                environment: &environment,
                module: &module,
                left: AtomicU64::new(cli.ops),
                end: end_of(cli.seconds),
                seed: cli.seed,
            },
        );
        environment.end();
        done?
    };

    let mut results = Results::new(grammars.len());
    done.iter().for_each(|done| results.merge(&done.results));
    let mut report = Report::default();
    report.add("calls", results.calls());
    if results.calls() == 0 {
        report.problem("no call was made");
    }
    report.expect_nothing_left(&before)?;
    let covered = covered(&module, &done);
    let fields = json!({ "commands": results.to_json(&grammars), "coverage": covered });
    let text = format!("{}\n{covered}", results.as_table(&grammars));
    report.print_with("fuzz", fields, text, output)
}

fn end_of(seconds: u64) -> Instant {
    // 34 years stand for no limit.
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

/// The coverage, if the kernel has KCOV.
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
