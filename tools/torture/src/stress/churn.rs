// SPDX-License-Identifier: GPL-2.0
//! Several processes of several threads run all operations on shared maps and on maps of
//! their own, while owners end and maps are closed.

use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ostor::device::{self, Kind};
use ostor::process::{Child, Link};
use ostor::progress::Progress;
use ostor::random::Random;
use ostor::report::Report;

use super::mix::Mix;
use super::worker::{Injected, Worker};
use super::workload::{SharedMaps, Workload};

const PROCESSES: u64 = 2;
const THREADS: u64 = 2;

/// The kinds of owners.
const KINDS: [Kind; 1] = [Kind::Task];

/// Runs for `seconds`.
pub(crate) fn run(seconds: u64, seed: u64) -> Result<Report> {
    let before = device::stats()?;
    let maps = SharedMaps::create(&KINDS)?;
    let start = Instant::now();
    let end = start + Duration::from_secs(seconds);
    let mut processes = Vec::new();
    for number in 0..PROCESSES {
        let body = |link: &mut Link| run_process(link, &maps, number, seed, end);
        processes.push(Child::linked(body)?);
    }

    let mut progress = Progress::new("seconds", seconds);
    while Instant::now() < end {
        thread::sleep(Duration::from_millis(100));
        progress.at(start.elapsed().as_secs());
    }
    drop(progress);
    let mut report = Report::default();
    for (child, link) in &mut processes {
        let line = link.receive().context("a worker process died")?;
        report.merge(serde_json::from_str(&line)?);
        child.reap()?;
    }
    drop(maps);
    report.expect_nothing_left(&before)?;
    Ok(report)
}

/// One process: runs its threads until `end` and sends its report.
fn run_process(link: &mut Link, maps: &SharedMaps, process: u64, seed: u64, end: Instant) -> i32 {
    let report = run_threads(maps, process, seed, end).unwrap_or_else(|error| {
        let mut report = Report::default();
        report.problem(format!("process {process}: {error:#}"));
        report
    });
    let line = serde_json::to_string(&report).expect("a report is plain data");
    i32::from(link.send(&line).is_err())
}

fn run_threads(maps: &SharedMaps, process: u64, seed: u64, end: Instant) -> Result<Report> {
    let workload = Workload::create(maps, &KINDS)?;
    let device = device::open()?;
    let all = Mutex::new(Report::default());
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (workload, device, all) = (&workload, &device, &all);
            let random = Random::new(seed, process * THREADS + thread);
            scope.spawn(move || {
                let injected = Injected::default();
                let mut worker = Worker::new(workload, device, Mix::All, injected, random);
                while Instant::now() < end && !worker.report.is_hopeless() {
                    worker.step();
                }
                all.lock().expect("no worker panicked").merge(worker.report);
            });
        }
    });
    Ok(all.into_inner().expect("no worker panicked"))
}
