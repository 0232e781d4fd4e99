// SPDX-License-Identifier: GPL-2.0

//! Recursion: an operation inside another one, at a tracepoint or in the allocator, in any context
//! that can interrupt the outer one there.

use crate::{
    arg::Arg,
    context::{
        self,
        Context, //
    },
    contexts,
    device::Handle,
    op::{
        code,
        Prepared, //
    },
    probes::Session,
    recurse_drop,
    sync::{
        counter::Counter,
        Atomic,
        Relaxed, //
    },
    uapi::{
        self,
        ostor_recurse, //
    }, //
};
use kernel::{
    prelude::*,
    sync::{
        rcu,
        Arc, //
    }, //
};
use owner_storage::api::{
    AnyOwner,
    ByteMap,
    Event,
    Mode,
    OwnerSlot, //
};

/// The inner operation and its result.
pub(crate) struct Inner {
    pub(crate) op: Prepared,
    context: Option<Context>,
    fired: Counter,
    result: Atomic<i32>,
}

impl Inner {
    /// Runs the inner operation `op`, and stores its result. Any context.
    fn note(&self, op: impl FnOnce() -> Result) {
        self.result.store(code(op()), Relaxed);
        self.fired.add(1);
    }

    /// Runs `body`, with a function that runs `op` as the inner operation, in its context. May
    /// sleep; that function must not.
    pub(crate) fn with<R>(
        &self,
        op: &(dyn Fn() -> Result + Sync),
        body: impl FnOnce(&dyn Fn()) -> R,
    ) -> Result<R> {
        let Some(context) = self.context else {
            return Ok(body(&|| self.note(op)));
        };
        // An idle CPU may handle an IPI without an interrupt. What matters is that it is another
        // CPU.
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

/// Runs one operation inside another one, and returns both results.
pub(crate) fn recurse(handle: &Handle, arg: &Arg) -> Result {
    let mut req = ostor_recurse::default();
    arg.read_for_update(&mut req)?;
    if req.pad != 0 || req.reserved != 0 {
        return Err(EINVAL);
    }
    let is_drop = req.point == uapi::OSTOR_POINT_DROP;
    let prepare = if is_drop {
        Prepared::maybe_without_map
    } else {
        Prepared::new
    };
    let outer = prepare(&req.outer)?;
    let inner = Inner {
        op: prepare(&req.inner)?,
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
    if is_drop {
        // Fails if there is no such context. The kworker that drops the value could not return
        // that.
        inner.with(&|| Ok(()), |_| ())?;
        let inner = Arc::new(inner, GFP_KERNEL)?;
        req.outer.result = code(recurse_drop::recurse(&outer, &inner)?);
        return inner.done(req, arg);
    }
    let mut session = handle.probes()?.session()?;
    let run_inner = || inner.op.run();
    req.outer.result = inner.with(&run_inner, |run_inner| {
        run_at(&mut session, req.point, &outer, &inner.op, run_inner)
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
    outer: &Prepared,
    inner: &Prepared,
    run_inner: &dyn Fn(),
) -> Result<i32> {
    let mut run_inner = run_inner;
    let at = outer.owner().addr();
    let run_outer = || code(outer.run());
    let event = match point {
        uapi::OSTOR_POINT_NONE => Event::Enter,
        uapi::OSTOR_POINT_STORAGE => Event::StorageLocked,
        uapi::OSTOR_POINT_BUCKET => Event::BucketLocked,
        uapi::OSTOR_POINT_ALLOC => return session.with_alloc_probe(&mut run_inner, run_outer),
        uapi::OSTOR_POINT_BOTH => {
            let helper = Helper::new(inner.map()?, inner.owner())?;
            let at_storage = || {
                let run_helper = &mut || helper.delete();
                session.with_probe(Event::StorageLocked, at, run_helper, run_outer)
            };
            let bucket_owner = helper.owner()?.addr();
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

/// An element that shares a bucket with another owner's. It is deleted where that bucket's lock is
/// to be taken.
struct Helper<'a> {
    map: &'a ByteMap,
    /// The last one has the element. The others do not share the bucket.
    owners: KVVec<Pin<KBox<OwnerSlot>>>,
}

impl<'a> Helper<'a> {
    /// The number of owners that are tried. The address of an owner determines its bucket.
    const TRIES: usize = 1 << 16;

    fn new(map: &'a ByteMap, neighbour: &AnyOwner) -> Result<Self> {
        let mut helper = Self {
            map,
            owners: KVVec::new(),
        };
        for _ in 0..Self::TRIES {
            let owner = KBox::pin_init(OwnerSlot::new(), GFP_KERNEL)?;
            helper.owners.push(owner, GFP_KERNEL)?;
            let owner = helper.owner()?;
            if map.share_bucket(owner, neighbour) {
                map.put(owner, Mode::Get, &[], &rcu::read_lock())?;
                return Ok(helper);
            }
        }
        Err(ENOMEM)
    }

    fn owner(&self) -> Result<&OwnerSlot> {
        self.owners.last().map(|owner| &**owner).ok_or(ENOENT)
    }

    /// Deletes the element. Any context.
    fn delete(&self) {
        // The only reason to fail is that it was deleted already.
        let _ = self
            .owner()
            .map(|owner| self.map.delete(owner, &rcu::read_lock()).is_ok());
    }
}

impl Drop for Helper<'_> {
    fn drop(&mut self) {
        OwnerSlot::end_all(|| self.owners.iter().map(|owner| &**owner));
    }
}
