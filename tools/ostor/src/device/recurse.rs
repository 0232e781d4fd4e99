// SPDX-License-Identifier: GPL-2.0
//! Running one operation inside another, at a chosen point.

use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;
use serde::Serialize;
use uapi::{ostor_op, ostor_recurse};

use super::{Context, Error, Map, Mode, Owner, Result};
use crate::sys::ioctl;

/// Where the inner operation runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Point {
    /// The outer one holds no lock yet.
    None,
    /// It holds its owner's lock.
    Storage,
    /// It holds its bucket's lock.
    Bucket,
    /// This CPU holds both.
    Both,
    /// It is inside the slab allocator.
    Alloc,
    /// A value that it has ended is being dropped.
    Drop,
}

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum OpKind {
    /// Finds the element.
    Lookup,
    /// Finds it or creates it.
    Create,
    /// Stores a value.
    Update,
    /// Deletes the element.
    Delete,
}

/// One operation.
#[derive(Clone, Copy, Debug)]
pub struct Op<'a> {
    /// What it does.
    pub kind: OpKind,
    /// When an update stores.
    pub mode: Mode,
    /// In which map.
    pub map: &'a Map,
    /// On whose element.
    pub owner: Owner<'a>,
    /// What a create or update stores.
    pub seed: u64,
}

/// An outer operation and the inner one that runs inside it.
#[derive(Clone, Copy, Debug)]
pub struct Recursion<'a> {
    /// The operation that the calling thread runs.
    pub outer: Op<'a>,
    /// The operation inside.
    pub inner: Op<'a>,
    /// Where inside.
    pub point: Point,
    /// In which context.
    pub context: Context,
}

/// What both operations returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The outer operation's result.
    pub outer: std::result::Result<(), Errno>,
    /// The inner operation's result, or nothing if it did not run.
    pub inner: Option<std::result::Result<(), Errno>>,
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

    /// How the device is told.
    pub fn to_uapi(self) -> u32 {
        match self {
            Self::None => uapi::OSTOR_POINT_NONE,
            Self::Storage => uapi::OSTOR_POINT_STORAGE,
            Self::Bucket => uapi::OSTOR_POINT_BUCKET,
            Self::Both => uapi::OSTOR_POINT_BOTH,
            Self::Alloc => uapi::OSTOR_POINT_ALLOC,
            Self::Drop => uapi::OSTOR_POINT_DROP,
        }
    }

    /// The point's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Storage => "storage",
            Self::Bucket => "bucket",
            Self::Both => "both",
            Self::Alloc => "alloc",
            Self::Drop => "drop",
        }
    }
}

impl OpKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Lookup, Self::Create, Self::Update, Self::Delete];

    /// How the device is told.
    pub fn to_uapi(self) -> u32 {
        match self {
            Self::Lookup => uapi::OSTOR_OP_LOOKUP,
            Self::Create => uapi::OSTOR_OP_GET_OR_CREATE,
            Self::Update => uapi::OSTOR_OP_UPDATE,
            Self::Delete => uapi::OSTOR_OP_DELETE,
        }
    }
}

impl Op<'_> {
    /// Runs the operation alone.
    pub fn run(&self) -> Result<()> {
        let value = &self.seed.to_ne_bytes();
        let value = &value[..value.len().min(self.map.value_size() as usize)];
        match self.kind {
            OpKind::Lookup => self.map.get(self.owner).map(drop),
            OpKind::Create => self.map.get_or_create(self.owner, value).map(drop),
            OpKind::Update => self.map.update(self.owner, value, self.mode).map(drop),
            OpKind::Delete => self.map.delete(self.owner),
        }
    }

    /// How the device is told.
    pub fn to_uapi(&self) -> ostor_op {
        ostor_op {
            owner: self.owner.to_uapi(),
            op: self.kind.to_uapi(),
            flags: self.mode.to_uapi(),
            map_fd: self.map.as_fd().as_raw_fd(),
            result: 0,
            seed: self.seed,
        }
    }
}

impl Recursion<'_> {
    /// Runs both operations.
    pub fn run(&self) -> Result<Outcome> {
        let mut arg = ostor_recurse {
            outer: self.outer.to_uapi(),
            inner: self.inner.to_uapi(),
            point: self.point.to_uapi(),
            context: self.context.to_uapi(),
            ..ostor_recurse::default()
        };
        // The outer operation on a value that is dropped has a map of its own.
        if self.point == Point::Drop && self.inner.map.as_fd().as_raw_fd() == arg.outer.map_fd {
            arg.inner.map_fd = -1;
        }
        ioctl::recurse(self.outer.map.as_fd(), &mut arg)
            .map_err(Error::refused("run one operation inside another"))?;
        Ok(Outcome {
            outer: to_result(arg.outer.result),
            inner: (arg.fired != 0).then(|| to_result(arg.inner.result)),
        })
    }
}

/// A kernel result: 0 or a negative errno value.
pub(super) fn to_result(code: i32) -> std::result::Result<(), Errno> {
    if code == 0 {
        Ok(())
    } else {
        Err(Errno::from_raw(-code))
    }
}
