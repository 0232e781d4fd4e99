// SPDX-License-Identifier: GPL-2.0
//! Timing operations inside the kernel.

use std::os::fd::AsFd;

use serde::Serialize;
use uapi::ostor_bench;

use super::{Error, Map, Owner, Result};
use crate::sys::ioctl;

/// What is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BenchKind {
    /// Get of an element that exists.
    GetHit,
    /// Get of one that does not.
    GetMiss,
    /// Create and delete of the owner's only element.
    CreateFirst,
    /// Create and delete of the owner's second element.
    CreateLater,
    /// Lock and unlock of an rqspinlock.
    Lock,
    /// Allocation and free from any context.
    Alloc,
}

impl BenchKind {
    /// How the device is told.
    pub fn to_uapi(self) -> u32 {
        match self {
            Self::GetHit => uapi::OSTOR_BENCH_GET_HIT,
            Self::GetMiss => uapi::OSTOR_BENCH_GET_MISS,
            Self::CreateFirst => uapi::OSTOR_BENCH_CREATE_FIRST,
            Self::CreateLater => uapi::OSTOR_BENCH_CREATE_LATER,
            Self::Lock => uapi::OSTOR_BENCH_LOCK,
            Self::Alloc => uapi::OSTOR_BENCH_ALLOC,
        }
    }
}

/// What to time.
#[derive(Clone, Copy, Debug)]
pub struct Bench<'fd> {
    /// What is repeated.
    pub kind: BenchKind,
    /// The owner that elements are created for. It has none yet.
    pub owner: Owner<'fd>,
    /// In how many maps the owner has elements.
    pub maps: u32,
    /// How often.
    pub iterations: u64,
}

/// What all iterations cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// Nanoseconds, net of the empty loop's.
    pub ns: u64,
    /// Nanoseconds that the reaper spent afterwards.
    pub reap_ns: u64,
}

impl Bench<'_> {
    /// Times it on `map`.
    pub fn run(&self, map: &Map) -> Result<Cost> {
        let mut arg = ostor_bench {
            owner: self.owner.to_uapi(),
            bench: self.kind.to_uapi(),
            maps: self.maps,
            iterations: self.iterations,
            ..ostor_bench::default()
        };
        ioctl::bench(map.as_fd(), &mut arg).map_err(Error::refused("time an operation"))?;
        Ok(Cost {
            ns: arg.ns.saturating_sub(arg.empty_ns),
            reap_ns: arg.reap_ns,
        })
    }
}
