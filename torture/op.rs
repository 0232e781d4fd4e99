// SPDX-License-Identifier: GPL-2.0

//! Operations that a command takes from user space and runs in any context.

use crate::{
    arg::Arg,
    busy_counter::Section,
    uapi::{
        self,
        ostor_op, //
    }, //
};
use kernel::{
    prelude::*,
    sync::rcu, //
};
use owner_storage::{
    api::{
        AnyOwner,
        ByteMap,
        Mode, //
    },
    device::{
        self,
        MapFile, //
    }, //
};

/// What an operation does.
#[derive(Copy, Clone)]
pub(crate) enum Op {
    Lookup,
    Put(Mode),
    Delete,
}

impl Op {
    fn of(req: &ostor_op) -> Result<Self> {
        let flags = req.flags & !uapi::OSTOR_OP_BUSY_COUNTER;
        Ok(match (req.op, flags) {
            (uapi::OSTOR_OP_LOOKUP, 0) => Self::Lookup,
            (uapi::OSTOR_OP_GET_OR_CREATE, 0) => Self::Put(Mode::Get),
            (uapi::OSTOR_OP_UPDATE, uapi::OSTOR_ANY) => Self::Put(Mode::Any),
            (uapi::OSTOR_OP_UPDATE, uapi::OSTOR_NOEXIST) => Self::Put(Mode::NoExist),
            (uapi::OSTOR_OP_UPDATE, uapi::OSTOR_EXIST) => Self::Put(Mode::Exist),
            (uapi::OSTOR_OP_DELETE, 0) => Self::Delete,
            _ => return Err(EINVAL),
        })
    }

    /// Runs the operation on the element of `owner` in `map`. Any context.
    fn run(self, map: &ByteMap, owner: &AnyOwner, seed: u64, is_counted: bool) -> Result {
        let rcu = rcu::read_lock();
        let seed = seed.to_ne_bytes();
        let bytes = &seed[..seed.len().min(map.value_size())];
        match self {
            Self::Lookup => map.get(owner, &rcu).map(|_| ()).ok_or(ENOENT),
            Self::Put(mode) => {
                let finds = is_counted && mode == Mode::Get && map.get(owner, &rcu).is_some();
                let _section = Section::enter(is_counted && !finds).ok_or(EBUSY)?;
                Ok(map.put(owner, mode, bytes, &rcu).map(|_| ())?)
            }
            Self::Delete => {
                let _section = Section::enter(is_counted).ok_or(EBUSY)?;
                Ok(map.delete(owner, &rcu).map(|_| ())?)
            }
        }
    }
}

/// An operation that is ready to be run.
pub(crate) struct Prepared {
    op: Op,
    owner: AnyOwner,
    seed: u64,
    is_counted: bool,
    file: Option<MapFile>,
}

impl Prepared {
    /// Looks up what `req` names. To be called in a command.
    pub(crate) fn new(req: &ostor_op) -> Result<Self> {
        // SAFETY: This is called in commands, which are ioctls.
        Self::with_file(req, Some(unsafe { MapFile::of_fd(req.map_fd) }?))
    }

    /// As [`Prepared::new`], for an operation whose descriptor of a map may be -1, for none.
    pub(crate) fn maybe_without_map(req: &ostor_op) -> Result<Self> {
        match req.map_fd {
            -1 => Self::with_file(req, None),
            _ => Self::new(req),
        }
    }

    fn with_file(req: &ostor_op, file: Option<MapFile>) -> Result<Self> {
        Ok(Self {
            op: Op::of(req)?,
            owner: device::owner(&req.owner)?,
            seed: req.seed,
            is_counted: req.flags & uapi::OSTOR_OP_BUSY_COUNTER != 0,
            file,
        })
    }

    /// The map.
    pub(crate) fn map(&self) -> Result<&ByteMap> {
        self.file.as_ref().ok_or(EINVAL)?.map()
    }

    /// What the operation does.
    pub(crate) fn op(&self) -> Op {
        self.op
    }

    /// The owner.
    pub(crate) fn owner(&self) -> &AnyOwner {
        &self.owner
    }

    /// Runs the operation. Any context.
    pub(crate) fn run(&self) -> Result {
        self.op
            .run(self.map()?, &self.owner, self.seed, self.is_counted)
    }
}

/// Runs one operation on the calling thread.
pub(crate) fn run(arg: &Arg) -> Result {
    let mut req = ostor_op::default();
    arg.read_for_update(&mut req)?;
    req.result = code(Prepared::new(&req)?.run());
    arg.write(&req)
}

/// 0 or a negative errno value.
pub(crate) fn code(result: Result) -> i32 {
    result.err().map_or(0, Error::to_errno)
}
