// SPDX-License-Identifier: GPL-2.0

//! Operations that a driver takes from user space and runs in any context.

use super::{
    elem::{
        self,
        Op, //
    },
    map::DeviceMap,
    resolve,
    Handle, //
};
use crate::{
    owner::{
        caller::Peer,
        kinds::AnyOwner, //
    },
    storage::{
        create::Mode,
        owner::Owner, //
    },
    sync::rcu,
    uapi::{
        self,
        ostor_op, //
    }, //
};
use kernel::{
    fs::File,
    prelude::*, //
};

/// An operation that is ready to be run.
pub(super) struct Prepared {
    op: Op,
    owner: AnyOwner,
    seed: u64,
    /// The other map, if it is not the command's.
    file: Option<Peer<Pin<KBox<Handle>>>>,
}

impl Prepared {
    /// Finds what `req` names; `own` is the command's file.
    pub(super) fn new(req: &ostor_op, own: &File) -> Result<Self> {
        let op = match (req.op, req.flags) {
            (uapi::OSTOR_OP_LOOKUP, 0) => Op::Lookup,
            (uapi::OSTOR_OP_GET_OR_CREATE, 0) => Op::Put(Mode::Get),
            (uapi::OSTOR_OP_UPDATE, flags) => Op::Put(elem::update_mode(flags)?),
            (uapi::OSTOR_OP_DELETE, 0) => Op::Delete,
            _ => return Err(EINVAL),
        };
        let file = match req.map_fd {
            -1 => None,
            fd => Some(Handle::of_fd(own, fd)?),
        };
        let prepared = Self {
            op,
            owner: resolve(&req.owner)?,
            seed: req.seed,
            file,
        };
        if let Some(file) = &prepared.file {
            file.borrow().map()?;
        }
        Ok(prepared)
    }

    /// The map; `own` is the command's.
    pub(super) fn map<'a>(&'a self, own: &'a DeviceMap) -> &'a DeviceMap {
        self.other_map().unwrap_or(own)
    }

    /// The map, if it was named.
    pub(super) fn other_map(&self) -> Option<&DeviceMap> {
        let handle = Pin::get_ref(self.file.as_ref()?.borrow());
        handle.map().ok()
    }

    /// What it does.
    pub(super) fn op(&self) -> Op {
        self.op
    }

    /// The owner.
    pub(super) fn owner(&self) -> &AnyOwner {
        &self.owner
    }

    /// The owner's address, by which tracepoints know it.
    pub(super) fn addr(&self) -> usize {
        self.owner.id().addr()
    }

    /// Runs the operation. Any context.
    pub(super) fn run(&self, own: &DeviceMap) -> Result {
        let rcu = rcu::read_lock();
        elem::run(self.map(own), &self.owner, self.op, self.seed, &rcu)
    }
}
