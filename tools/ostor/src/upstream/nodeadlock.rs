// SPDX-License-Identifier: GPL-2.0
//! `task_storage_nodeadlock`: many threads on one CPU, each of which creates and
//! deletes its own value, and is preempted meanwhile.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ostor::device::Map;

use super::row::{Row, Wanted};
use crate::cpus;
use crate::self_churn::Tally;

const THREADS: usize = 32;

/// How long.
const TIME: Duration = Duration::from_secs(1);

const DIFFERS: &str = "the threads run the two operations by ioctl, where upstream's are run by a \
                       program at the end of socket(); any error counts, not only EDEADLK and \
                       ETIMEDOUT";

pub(super) fn run() -> Result<Row> {
    let map = &Map::create(64)?;
    let cpu = *cpus::usable()?.first().context("there is no CPU")?;
    let ready = &Barrier::new(THREADS);
    let tallies = thread::scope(|scope| {
        let threads = [(); THREADS].map(|()| {
            scope.spawn(move || -> Result<Tally> {
                let prepared = cpus::stay_on(cpu);
                ready.wait();
                prepared?;
                let mut tally = Tally::default();
                tally.turns_until(Instant::now() + TIME, map, || {});
                Ok(tally)
            })
        });
        let join = |thread: thread::ScopedJoinHandle<'_, Result<Tally>>| {
            thread.join().expect("the thread does not panic")
        };
        threads.into_iter().map(join).collect::<Result<Vec<_>>>()
    })?;
    let busy = tallies.iter().filter(|tally| tally.deletes > 0).count();
    let mut all = Tally::default();
    tallies.into_iter().for_each(|tally| all.merge(tally));
    let sum = |errors: &std::collections::BTreeMap<String, u64>| errors.values().sum();
    Ok(Row::new(DIFFERS)
        .upstream("get errors", Wanted::Exactly(0), sum(&all.create_errors))
        .upstream("delete errors", Wanted::Exactly(0), sum(&all.delete_errors))
        .and(
            "threads at work",
            Wanted::Exactly(THREADS as u64),
            busy as u64,
        )
        .and("operations", Wanted::Some, all.operations()))
}
