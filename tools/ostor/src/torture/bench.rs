// SPDX-License-Identifier: GPL-2.0
//! Timing operations inside the kernel.

use std::os::fd::{AsFd, AsRawFd};

use serde::Serialize;
use uapi::ostor_bench;

use super::{TortureDevice, ioctl};
use crate::device::{Error, Map, Owner, Result};

/// The operation that is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(u32)]
pub enum BenchKind {
    /// Get of an existing element.
    GetHit = uapi::OSTOR_BENCH_GET_HIT,
    /// Get of a missing element.
    GetMiss = uapi::OSTOR_BENCH_GET_MISS,
    /// Create and delete of the owner's only element.
    CreateFirst = uapi::OSTOR_BENCH_CREATE_FIRST,
    /// Create and delete of the owner's second element.
    CreateLater = uapi::OSTOR_BENCH_CREATE_LATER,
    /// Lock and unlock of an rqspinlock.
    Lock = uapi::OSTOR_BENCH_LOCK,
    /// Allocation and free with `kmalloc_nolock()`.
    Alloc = uapi::OSTOR_BENCH_ALLOC,
    /// As `GetHit`, of a slot.
    SlotGetHit = uapi::OSTOR_BENCH_GET_HIT | uapi::OSTOR_BENCH_SLOT,
    /// As `GetMiss`, of a slot.
    SlotGetMiss = uapi::OSTOR_BENCH_GET_MISS | uapi::OSTOR_BENCH_SLOT,
    /// As `CreateFirst`, of a slot.
    SlotCreateFirst = uapi::OSTOR_BENCH_CREATE_FIRST | uapi::OSTOR_BENCH_SLOT,
    /// As `CreateLater`, of a slot.
    SlotCreateLater = uapi::OSTOR_BENCH_CREATE_LATER | uapi::OSTOR_BENCH_SLOT,
}

/// One measurement.
#[derive(Clone, Copy, Debug)]
pub struct Bench<'fd> {
    /// The operation that is repeated.
    pub kind: BenchKind,
    /// The owner of the elements. It must not have any yet.
    pub owner: Owner<'fd>,
    /// Number of maps in which the owner has an element.
    pub maps: u32,
    /// Number of repetitions.
    pub iterations: u64,
}

/// Cost of all iterations together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// Nanoseconds, less those of an empty loop.
    pub ns: u64,
    /// Nanoseconds that the reaper spent on freeing the deleted elements.
    pub reap_ns: u64,
}

impl Bench<'_> {
    /// Runs the measurement on `map`.
    pub fn run(&self, device: &TortureDevice, map: &Map) -> Result<Cost> {
        let mut arg = ostor_bench {
            owner: self.owner.to_uapi(),
            bench: self.kind as u32,
            maps: self.maps,
            iterations: self.iterations,
            map_fd: map.as_fd().as_raw_fd(),
            ..ostor_bench::default()
        };
        ioctl::bench(device, &mut arg).map_err(Error::refused("measure an operation"))?;
        Ok(Cost {
            ns: arg.ns.saturating_sub(arg.empty_ns),
            reap_ns: arg.reap_ns,
        })
    }
}
