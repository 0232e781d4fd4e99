// SPDX-License-Identifier: GPL-2.0

//! The driver of recursion: runs one operation inside another, at a point that a tracepoint names.

use super::{
    elem::{
        self,
        Op, //
    },
    resolve, Arg, Handle,
};
use crate::{
    owner::{
        caller::Peer,
        kinds::AnyOwner,
        phantom::Phantom, //
    },
    storage::{
        create::Mode,
        map::ByteMap,
        owner::Owner, //
    },
    sync::{
        rcu,
        trace::{
            self,
            Event, //
        }, //
    },
    uapi::{
        self,
        ostor_op,
        ostor_recurse, //
    }, //
};
use kernel::{
    fs::File,
    prelude::*, //
};

/// One of the two operations, ready to be run in any context.
struct Prepared {
    op: Op,
    owner: AnyOwner,
    seed: u64,
    /// The other map, if it is not the command's.
    file: Option<Peer<KBox<Handle>>>,
}

impl Prepared {
    fn new(req: &ostor_op, own: &File) -> Result<Self> {
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

    fn map<'a>(&'a self, own: &'a ByteMap) -> &'a ByteMap {
        self.file
            .as_ref()
            .and_then(|file| file.borrow().map().ok())
            .unwrap_or(own)
    }

    /// Runs the operation and returns 0 or a negative errno value. Any context.
    fn run(&self, own: &ByteMap) -> i32 {
        let rcu = rcu::read_lock();
        match elem::run(self.map(own), &self.owner, self.op, self.seed, &rcu) {
            Ok(()) => 0,
            Err(refusal) => Error::from(refusal).to_errno(),
        }
    }
}

pub(super) fn recurse(own: &ByteMap, file: &File, arg: &Arg) -> Result {
    let mut req: ostor_recurse = arg.read_for_update()?;
    if req.reserved != [0; 2] {
        return Err(EINVAL);
    }
    let outer = Prepared::new(&req.outer, file)?;
    let inner = Prepared::new(&req.inner, file)?;
    let mut fired = 0;
    let mut result = 0;
    let mut run_inner = || {
        fired += 1;
        result = inner.run(own);
    };
    let at = outer.owner.id().addr();
    let mut run = |event| trace::with_probe(event, at, &mut run_inner, || outer.run(own));
    req.outer.result = match req.point {
        uapi::OSTOR_POINT_NONE => run(Event::Enter)?,
        uapi::OSTOR_POINT_STORAGE => run(Event::StorageLocked)?,
        uapi::OSTOR_POINT_BUCKET => run(Event::BucketLocked)?,
        uapi::OSTOR_POINT_BOTH => {
            let helper = Helper::new(inner.map(own), &inner.owner)?;
            let at_storage = || {
                trace::with_probe(Event::StorageLocked, at, &mut || helper.delete(), || {
                    outer.run(own)
                })
            };
            let bucket_owner = helper.owner.id().addr();
            trace::with_probe(
                Event::BucketLocked,
                bucket_owner,
                &mut run_inner,
                at_storage,
            )??
        }
        _ => return Err(EINVAL),
    };
    req.inner.result = result;
    req.fired = fired;
    arg.write(&req)
}

/// An element that shares a bucket with another owner's, to be deleted where that bucket's lock is
/// wanted to be taken.
struct Helper<'a> {
    map: &'a ByteMap,
    owner: Phantom,
}

impl<'a> Helper<'a> {
    fn new(map: &'a ByteMap, neighbour: &impl Owner) -> Result<Self> {
        let raw = map.raw();
        let owner = (0..Phantom::COUNT)
            .map(Phantom::new)
            .find(|phantom| raw.share_bucket(phantom.id(), neighbour.id()))
            .ok_or(ENOMEM)?;
        elem::run(map, &owner, Op::Put(Mode::Get), 0, &rcu::read_lock())?;
        Ok(Self { map, owner })
    }

    /// Deletes the element. Any context.
    fn delete(&self) {
        // The only reason to fail is that it was deleted already.
        let _ = self.map.raw().delete(self.owner.id(), &rcu::read_lock());
    }
}

impl Drop for Helper<'_> {
    fn drop(&mut self) {
        self.delete();
    }
}
