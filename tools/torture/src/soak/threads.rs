// SPDX-License-Identifier: GPL-2.0
//! The threads of a run: one for each mix of steps, and one each for accepted sockets,
//! long read sections and interruptions.

use std::fs::File;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use ostor::random::Random;
use ostor::report::Report;
use ostor::torture::TortureDevice;

use super::accept::Accepting;
use super::interrupted::Interrupted;
use super::limit::Limit;
use super::reader;
use crate::stress::mix::Mix;
use crate::stress::worker::{Injected, Worker};
use crate::stress::workload::Workload;

/// The mixes of the workers.
const MIXES: [Mix; 5] = [
    Mix::Reads,
    Mix::Creates,
    Mix::Deletes,
    Mix::MapCloses,
    Mix::OwnerEnds,
];

/// Pause between two interruptions, in which the other threads have the CPUs.
const PAUSE: Duration = Duration::from_millis(400);

/// What the threads share.
pub(super) struct Threads<'a> {
    pub(super) workload: &'a Workload,
    pub(super) device: &'a File,
    pub(super) torture: &'a TortureDevice,
    /// `None` if the kernel does not report accepted sockets.
    pub(super) accepting: Option<&'a Accepting>,
    pub(super) interrupted: &'a Interrupted,
    /// Whether the module reports the ages of held objects.
    pub(super) has_ages: bool,
    pub(super) injected: Injected,
    pub(super) seed: u64,
    pub(super) limit: &'a Limit,
}

impl Threads<'_> {
    /// Runs the threads until the limit is reached, and `watch` on the calling thread. If
    /// `watch` fails, the threads stop.
    pub(super) fn run(&self, watch: impl FnOnce() -> Result<()>) -> Result<Report> {
        let all = Mutex::new(Report::default());
        thread::scope(|scope| {
            for (stream, mix) in (0..).zip(MIXES) {
                let all = &all;
                scope.spawn(move || add(all, self.work(mix, stream)));
            }
            let all = &all;
            if let Some(accepting) = self.accepting {
                scope.spawn(move || add(all, self.accept(accepting)));
            }
            if self.has_ages {
                scope.spawn(move || add(all, self.read()));
            }
            scope.spawn(move || add(all, self.interrupt()));
            let stop = Stop(self.limit);
            let watched = watch();
            drop(stop);
            if let Err(error) = watched {
                let mut all = all.lock().expect("no thread panicked");
                all.problem(format!("{error:#}"));
            }
        });
        Ok(all.into_inner().expect("no thread panicked"))
    }

    fn work(&self, mix: Mix, stream: u64) -> Report {
        let random = Random::new(self.seed, stream);
        let mut worker = Worker::new(self.workload, self.device, mix, self.injected, random);
        while self.limit.take_step() {
            worker.step();
            self.stop_if_hopeless(&worker.report);
        }
        worker.report
    }

    fn accept(&self, accepting: &Accepting) -> Report {
        let mut report = Report::default();
        while self.limit.take_step() {
            if let Err(error) = accepting.one(self.injected, &mut report) {
                report.problem(format!("accept: {error:#}"));
            }
            self.stop_if_hopeless(&report);
        }
        report
    }

    fn read(&self) -> Report {
        let mut random = Random::new(self.seed, MIXES.len() as u64);
        let mut report = Report::default();
        while self.limit.take_step() {
            reader::one(self.torture, self.workload, &mut random, &mut report);
            self.stop_if_hopeless(&report);
        }
        report
    }

    fn interrupt(&self) -> Report {
        let mut random = Random::new(self.seed, MIXES.len() as u64 + 1);
        let mut report = Report::default();
        while self.limit.take_step() {
            self.interrupted
                .one(self.torture, &mut random, self.injected, &mut report);
            self.stop_if_hopeless(&report);
            thread::sleep(PAUSE);
        }
        report
    }

    fn stop_if_hopeless(&self, report: &Report) {
        if report.is_hopeless() {
            self.limit.stop();
        }
    }
}

/// Stops the threads when it is dropped, also if `watch` panics.
struct Stop<'a>(&'a Limit);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

fn add(all: &Mutex<Report>, report: Report) {
    all.lock().expect("no thread panicked").merge(report);
}
