// SPDX-License-Identifier: GPL-2.0
//! Threads that share a CPU and no owner.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use ostor::device::Map;
use ostor::sys::sched;
use ostor::torture::{Op, OpKind, TortureDevice};

use crate::cpus;
use crate::self_churn::{OpCounts, OpResult};
use ostor::progress::Progress;

/// The threads of a CPU, in words.
pub(crate) const THREADS_OF_A_CPU: &str =
    "three threads of niceness 0, 5 and 10 and a real-time thread that wakes every millisecond";

/// Time between two steps of the real-time thread.
const SLEEP: Duration = Duration::from_millis(1);

/// The scheduling of one thread of a CPU.
#[derive(Clone, Copy, Debug)]
enum Urgency {
    /// A fair share of the CPU; is preempted at the end of its slice.
    Nice(i32),
    /// Preempts the other threads when it wakes.
    RealTime,
}

const URGENCIES: [Urgency; 4] = [
    Urgency::Nice(0),
    Urgency::Nice(5),
    Urgency::Nice(10),
    Urgency::RealTime,
];

/// Runs the threads on all CPUs for `time`.
pub(crate) fn run(
    device: &TortureDevice,
    map: &Map,
    is_counted: bool,
    cpus: &[usize],
    time: Duration,
) -> Result<OpCounts> {
    let run = |kind| {
        Op::own(kind, map, 1)
            .run_behind_counter(device, is_counted)
            .unwrap_or_else(|error| Err(error.errno()))
    };
    let threads = cpus
        .iter()
        .flat_map(|&cpu| URGENCIES.map(|urgency| (cpu, urgency)));
    let ready = Barrier::new(cpus.len() * URGENCIES.len() + 1);
    thread::scope(|scope| {
        let threads: Vec<_> = threads
            .map(|(cpu, urgency)| {
                let (ready, run) = (&ready, &run);
                scope.spawn(move || -> Result<OpCounts> {
                    let prepared = urgency.prepare(cpu);
                    ready.wait();
                    prepared?;
                    Ok(urgency.churn(run, Instant::now() + time))
                })
            })
            .collect();
        ready.wait();
        let start = Instant::now();
        let mut progress = Progress::new("seconds", time.as_secs());
        while start.elapsed() < time {
            thread::sleep(Duration::from_millis(100));
            progress.at(start.elapsed().as_secs());
        }
        let mut all = OpCounts::default();
        for thread in threads {
            all.merge(thread.join().expect("the thread does not panic")?);
        }
        Ok(all)
    })
}

impl Urgency {
    fn prepare(self, cpu: usize) -> nix::Result<()> {
        cpus::bind_to(cpu)?;
        match self {
            Self::Nice(nice) => sched::set_nice(nice),
            Self::RealTime => sched::set_fifo(),
        }
    }

    fn churn(self, run: impl Fn(OpKind) -> OpResult, end: Instant) -> OpCounts {
        let mut counts = OpCounts::default();
        match self {
            Self::Nice(_) => counts.steps_until(end, run, || {}),
            Self::RealTime => counts.steps_until(end, run, || thread::sleep(SLEEP)),
        }
        counts
    }
}
