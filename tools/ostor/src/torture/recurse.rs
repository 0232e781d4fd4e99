// SPDX-License-Identifier: GPL-2.0
//! Running one operation inside another, at a chosen point.

use clap::ValueEnum;
use nix::errno::Errno;
use serde::Serialize;
use std::fmt::{self, Display};
use uapi::ostor_recurse;

use super::{Context, Op, TortureDevice, ioctl, to_result};
use crate::device::{Error, Result};

/// Where the inner operation runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
#[repr(u32)]
pub enum Point {
    /// Before the outer operation takes a lock.
    None = uapi::OSTOR_POINT_NONE,
    /// With the lock of the owner's storage held.
    Storage = uapi::OSTOR_POINT_STORAGE,
    /// With the bucket's lock held.
    Bucket = uapi::OSTOR_POINT_BUCKET,
    /// With both locks held by this CPU.
    Both = uapi::OSTOR_POINT_BOTH,
    /// Inside the slab allocator.
    Alloc = uapi::OSTOR_POINT_ALLOC,
    /// While the outer operation's old value is dropped.
    Drop = uapi::OSTOR_POINT_DROP,
}

impl Point {
    /// All points.
    pub const ALL: [Self; 6] = [
        Self::None,
        Self::Storage,
        Self::Bucket,
        Self::Both,
        Self::Alloc,
        Self::Drop,
    ];
}

/// The name as the command line has it.
impl Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value().expect("no point is hidden");
        f.pad(value.get_name())
    }
}

/// An outer operation and the inner operation that runs inside it.
#[derive(Clone, Copy, Debug)]
pub struct Recursion<'a> {
    /// The operation of the calling thread.
    pub outer: Op<'a>,
    /// The operation inside it.
    pub inner: Op<'a>,
    /// The point of the outer operation at which the inner one runs.
    pub point: Point,
    /// The context in which the inner operation runs.
    pub context: Context,
}

/// What both operations returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The outer operation's result.
    pub outer: std::result::Result<(), Errno>,
    /// The inner operation's result, or `None` if it did not run.
    pub inner: Option<std::result::Result<(), Errno>>,
}

impl Recursion<'_> {
    /// Runs both operations.
    pub fn run(&self, device: &TortureDevice) -> Result<Outcome> {
        self.run_behind_counter(device, false)
    }

    /// Runs both operations, behind the counter of `OSTOR_OP_BUSY_COUNTER` if
    /// `is_counted`.
    pub fn run_behind_counter(&self, device: &TortureDevice, is_counted: bool) -> Result<Outcome> {
        let mut arg = ostor_recurse {
            outer: self.outer.to_uapi(),
            inner: self.inner.to_uapi(),
            point: self.point as u32,
            context: self.context as u32,
            ..ostor_recurse::default()
        };
        if is_counted {
            arg.outer.flags |= uapi::OSTOR_OP_BUSY_COUNTER;
            arg.inner.flags |= uapi::OSTOR_OP_BUSY_COUNTER;
        }
        // At this point the driver runs the outer operation in a map of its own, which
        // -1 names.
        if self.point == Point::Drop {
            if arg.inner.map_fd == arg.outer.map_fd {
                arg.inner.map_fd = -1;
            }
            arg.outer.map_fd = -1;
        }
        ioctl::recurse(device, &mut arg)
            .map_err(Error::refused("run one operation inside another"))?;
        Ok(Outcome {
            outer: to_result(arg.outer.result),
            inner: (arg.fired != 0).then(|| to_result(arg.inner.result)),
        })
    }
}
