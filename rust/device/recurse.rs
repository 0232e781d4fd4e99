// SPDX-License-Identifier: GPL-2.0

//! The driver of recursion: runs one operation inside another, at a point that a probe marks, and
//! in any context that can come there.

use super::{
    contexts,
    drops,
    elem::{
        self,
        Op, //
    },
    map::DeviceMap,
    op::Prepared,
    Arg,
    Handle, //
};
use crate::{
    owner::phantom::Phantom,
    storage::{
        create::Mode,
        owner::Owner, //
    },
    sync::{
        context::{
            self,
            Context, //
        },
        counter::Counter,
        probes::Session,
        rcu,
        trace::Event,
        Atomic,
        Relaxed, //
    },
    uapi::{
        self,
        ostor_recurse, //
    }, //
};
use kernel::{
    fs::File,
    prelude::*,
    sync::Arc, //
};

/// The inner operation, and what came of it.
pub(super) struct Inner {
    pub(super) op: Prepared,
    context: Option<Context>,
    fired: Counter,
    result: Atomic<i32>,
}

impl Inner {
    /// Runs `op`, the inner operation, and notes what it returns. Any context.
    fn note(&self, op: impl FnOnce() -> Result) {
        self.result.store(code(op()), Relaxed);
        self.fired.add(1);
    }

    /// Runs `body` with a function that runs `op` as the inner operation, in its context. May
    /// sleep, but for that function.
    pub(super) fn with<R>(
        &self,
        op: &(dyn Fn() -> Result + Sync),
        body: impl FnOnce(&dyn Fn()) -> R,
    ) -> Result<R> {
        let Some(context) = self.context else {
            return Ok(body(&|| self.note(op)));
        };
        // An IPI to an idle CPU may be handled without an interrupt: another CPU is what counts.
        let inside = |is_there| {
            if is_there || context == Context::Ipi {
                self.note(op);
            }
        };
        context::on_demand(context, &inside, |raiser| {
            body(&|| {
                raiser.raise();
            })
        })
    }
}

pub(super) fn recurse(handle: &Handle, file: &File, arg: &Arg) -> Result {
    let own = handle.map()?;
    let mut req: ostor_recurse = arg.read_for_update()?;
    if req.pad != 0 || req.reserved != 0 {
        return Err(EINVAL);
    }
    let outer = Prepared::new(&req.outer, file)?;
    let inner = Inner {
        op: Prepared::new(&req.inner, file)?,
        context: contexts::named(req.context)?,
        fired: Counter::new(),
        result: Atomic::new(0),
    };
    if inner
        .context
        .is_some_and(|context| !context.can_be_raised())
    {
        return Err(EINVAL);
    }
    if req.point == uapi::OSTOR_POINT_DROP {
        // Fails here where there is no such context: the worker that drops the value reports nothing.
        inner.with(&|| Ok(()), |_| ())?;
        let inner = Arc::new(inner, GFP_KERNEL)?;
        req.outer.result = code(drops::recurse(&outer, &inner)?);
        return inner.done(req, arg);
    }
    let mut session = handle.probes()?.session()?;
    let run_inner = || inner.op.run(own);
    req.outer.result = inner.with(&run_inner, |run_inner| {
        run_at(&mut session, req.point, own, &outer, &inner.op, run_inner)
    })??;
    inner.done(req, arg)
}

impl Inner {
    fn done(&self, mut req: ostor_recurse, arg: &Arg) -> Result {
        req.inner.result = self.result.load(Relaxed);
        req.fired = self.fired.get() as u32;
        arg.write(&req)
    }
}

/// Runs the outer operation with `run_inner` called at the point, and returns 0 or a negative errno
/// value.
fn run_at(
    session: &mut Session<'_>,
    point: u32,
    own: &DeviceMap,
    outer: &Prepared,
    inner: &Prepared,
    run_inner: &dyn Fn(),
) -> Result<i32> {
    let mut run_inner = run_inner;
    let at = outer.addr();
    let run_outer = || code(outer.run(own));
    let event = match point {
        uapi::OSTOR_POINT_NONE => Event::Enter,
        uapi::OSTOR_POINT_STORAGE => Event::StorageLocked,
        uapi::OSTOR_POINT_BUCKET => Event::BucketLocked,
        uapi::OSTOR_POINT_ALLOC => return session.with_alloc_probe(&mut run_inner, run_outer),
        uapi::OSTOR_POINT_BOTH => {
            let helper = Helper::new(inner.map(own), inner.owner())?;
            let at_storage = || {
                let run_helper = &mut || helper.delete();
                session.with_probe(Event::StorageLocked, at, run_helper, run_outer)
            };
            let bucket_owner = helper.owner.id().addr();
            return Ok(session.with_probe(
                Event::BucketLocked,
                bucket_owner,
                &mut run_inner,
                at_storage,
            ));
        }
        _ => return Err(EINVAL),
    };
    Ok(session.with_probe(event, at, &mut run_inner, run_outer))
}

/// 0 or a negative errno value.
fn code(result: Result) -> i32 {
    result.err().map_or(0, Error::to_errno)
}

/// An element that shares a bucket with another owner's, to be deleted where that bucket's lock is
/// wanted to be taken.
struct Helper<'a> {
    map: &'a DeviceMap,
    owner: Phantom,
}

impl<'a> Helper<'a> {
    fn new(map: &'a DeviceMap, neighbour: &impl Owner) -> Result<Self> {
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
