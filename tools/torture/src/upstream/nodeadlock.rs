// SPDX-License-Identifier: GPL-2.0
//! `task_storage_nodeadlock`: many threads on one CPU create and delete their own values,
//! and preempt each other meanwhile.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ostor::device::Map;

use super::row::{Row, Wanted};
use crate::cpus;
use crate::self_churn::{OpCounts, run_in};

const THREADS: usize = 32;

/// Duration.
const TIME: Duration = Duration::from_secs(1);

const DIFFERS: &str = "the threads run the two operations by ioctl, upstream's by a program at the \
                       end of socket(); any error counts, not only EDEADLK and ETIMEDOUT";

pub(super) fn run() -> Result<Row> {
    let map = &Map::create(64)?;
    let cpu = *cpus::usable()?.first().context("there is no CPU")?;
    let ready = &Barrier::new(THREADS);
    let all_counts = thread::scope(|scope| {
        let threads = [(); THREADS].map(|()| {
            scope.spawn(move || -> Result<OpCounts> {
                let prepared = cpus::bind_to(cpu);
                ready.wait();
                prepared?;
                let mut counts = OpCounts::default();
                counts.steps_until(Instant::now() + TIME, |kind| run_in(map, kind), || {});
                Ok(counts)
            })
        });
        let join = |thread: thread::ScopedJoinHandle<'_, Result<OpCounts>>| {
            thread.join().expect("the thread does not panic")
        };
        threads.into_iter().map(join).collect::<Result<Vec<_>>>()
    })?;
    let busy = all_counts
        .iter()
        .filter(|counts| counts.deletes > 0)
        .count();
    let mut all = OpCounts::default();
    all_counts.into_iter().for_each(|counts| all.merge(counts));
    let sum = |errors: &std::collections::BTreeMap<String, u64>| errors.values().sum();
    Ok(Row::new(DIFFERS)
        .upstream("get errors", Wanted::Exactly(0), sum(&all.create_errors))
        .upstream("delete errors", Wanted::Exactly(0), sum(&all.delete_errors))
        .and(
            "threads that ran",
            Wanted::Exactly(THREADS as u64),
            busy as u64,
        )
        .and("operations", Wanted::Some, all.operations()))
}
