// SPDX-License-Identifier: GPL-2.0

//! Results and times of operations, counted in any context.

use crate::{
    sync::{
        clock,
        compat::EDEADLK,
        counter::Counter, //
    },
    uapi::{
        ostor_op_stats,
        OSTOR_HISTOGRAM, //
    }, //
};
use kernel::prelude::*;

const BUCKETS: usize = OSTOR_HISTOGRAM as usize;

/// The counts. They are read one after the other, and can be of different instants.
#[derive(Default)]
pub(crate) struct OpStats {
    ok: Counter,
    enoent: Counter,
    eexist: Counter,
    esrch: Counter,
    enomem: Counter,
    edeadlk: Counter,
    etimedout: Counter,
    other: Counter,
    max_ns: Counter,
    histogram: [Counter; BUCKETS],
}

impl OpStats {
    /// Runs `op`, and counts its result and its time. Any context.
    pub(crate) fn time(&self, op: impl FnOnce() -> Result) {
        let start = clock::now_ns();
        let result = op();
        let ns = clock::now_ns().saturating_sub(start);
        self.counter(result).add(1);
        self.histogram[bucket(ns)].add(1);
        self.max_ns.raise_to(ns);
    }

    fn counter(&self, result: Result) -> &Counter {
        match result {
            Ok(()) => &self.ok,
            Err(err) if err == ENOENT => &self.enoent,
            Err(err) if err == EEXIST => &self.eexist,
            Err(err) if err == ESRCH => &self.esrch,
            Err(err) if err == ENOMEM => &self.enomem,
            Err(err) if err == EDEADLK => &self.edeadlk,
            Err(err) if err == ETIMEDOUT => &self.etimedout,
            Err(_) => &self.other,
        }
    }

    /// The counts in the layout of the UAPI header.
    pub(crate) fn to_uapi(&self) -> ostor_op_stats {
        let mut histogram = [0; BUCKETS];
        for (count, counter) in histogram.iter_mut().zip(&self.histogram) {
            *count = counter.get();
        }
        ostor_op_stats {
            ok: self.ok.get(),
            enoent: self.enoent.get(),
            eexist: self.eexist.get(),
            esrch: self.esrch.get(),
            enomem: self.enomem.get(),
            edeadlk: self.edeadlk.get(),
            etimedout: self.etimedout.get(),
            other: self.other.get(),
            max_ns: self.max_ns.get(),
            histogram,
        }
    }
}

/// The bucket for a time: its binary logarithm.
fn bucket(ns: u64) -> usize {
    (ns.max(1).ilog2() as usize).min(BUCKETS - 1)
}
