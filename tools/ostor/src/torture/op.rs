// SPDX-License-Identifier: GPL-2.0
//! An operation on one element, as the drivers take it.

use std::os::fd::{AsFd, AsRawFd};

use clap::ValueEnum;
use nix::errno::Errno;
use serde::Serialize;
use uapi::ostor_op;

use super::{TortureDevice, ioctl, to_result};
use crate::device::{Error, Map, Mode, Owner, Result};

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
#[repr(u32)]
pub enum OpKind {
    /// Finds the element.
    Lookup = uapi::OSTOR_OP_LOOKUP,
    /// Finds the element or creates it.
    Create = uapi::OSTOR_OP_GET_OR_CREATE,
    /// Stores a value.
    Update = uapi::OSTOR_OP_UPDATE,
    /// Deletes the element.
    Delete = uapi::OSTOR_OP_DELETE,
}

impl OpKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Lookup, Self::Create, Self::Update, Self::Delete];
}

/// One operation.
#[derive(Clone, Copy, Debug)]
pub struct Op<'a> {
    /// What the operation does.
    pub kind: OpKind,
    /// When an update stores.
    pub mode: Mode,
    /// The map of the element.
    pub map: &'a Map,
    /// The owner of the element.
    pub owner: Owner<'a>,
    /// The value that a create or update stores.
    pub seed: u64,
}

impl<'a> Op<'a> {
    /// An operation on the calling thread's element. An update stores in any case.
    pub fn own(kind: OpKind, map: &'a Map, seed: u64) -> Self {
        Self {
            kind,
            mode: Mode::Any,
            map,
            owner: Owner::Current,
            seed,
        }
    }

    /// Runs the operation from this process.
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

    /// Runs the operation in the torture module, behind the counter of
    /// `OSTOR_OP_BUSY_COUNTER` if `is_counted`.
    pub fn run_behind_counter(
        &self,
        device: &TortureDevice,
        is_counted: bool,
    ) -> Result<std::result::Result<(), Errno>> {
        let mut arg = self.to_uapi();
        if is_counted {
            arg.flags |= uapi::OSTOR_OP_BUSY_COUNTER;
        }
        ioctl::op(device, &mut arg).map_err(Error::refused("run an operation"))?;
        Ok(to_result(arg.result))
    }

    /// The operation as the drivers take it.
    pub fn to_uapi(&self) -> ostor_op {
        ostor_op {
            owner: self.owner.to_uapi(),
            op: self.kind as u32,
            flags: self.mode.to_uapi(),
            map_fd: self.map.as_fd().as_raw_fd(),
            result: 0,
            seed: self.seed,
        }
    }
}
