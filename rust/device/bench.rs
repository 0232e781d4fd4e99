// SPDX-License-Identifier: GPL-2.0

//! What operations cost, measured without the cost of a system call. Under `-icount` the clock
//! counts instructions.

use super::{
    resolve,
    Arg, //
};
use crate::{
    owner::{
        caller,
        kinds::Visitor, //
    },
    storage::{
        create::Mode,
        map::ByteMap,
        owner::Owner,
        runtime::Runtime, //
    },
    sync::{
        clock::Stopwatch,
        deferred,
        fault::Site,
        irq,
        nolock,
        rcu::{
            self,
            Guard, //
        },
        res_lock::ResLock, //
    },
    uapi::{
        self,
        ostor_bench, //
    }, //
};
use core::hint::black_box;
use kernel::prelude::*;

/// Iterations under one RCU guard.
const CHUNK: u64 = 256;

/// Most maps in which the owner has elements.
const MAPS_MAX: u32 = 64;

pub(super) fn bench(map: &ByteMap, arg: &Arg) -> Result {
    let mut req: ostor_bench = arg.read_for_update()?;
    if req.reserved != 0
        || !(1..=MAPS_MAX).contains(&req.maps)
        || !(1..=u64::from(uapi::OSTOR_BENCH_MAX)).contains(&req.iterations)
    {
        return Err(EINVAL);
    }
    let owner = resolve(&req.owner)?;
    owner.visit(Bench { map, req: &mut req })?;
    arg.write(&req)
}

struct Bench<'a> {
    map: &'a ByteMap,
    req: &'a mut ostor_bench,
}

impl Visitor for Bench<'_> {
    type Output = Result;

    fn visit<O: Owner + Sync>(self, owner: &O) -> Result {
        let Self { map, req } = self;
        let runtime = Runtime::get().ok_or(ENODEV)?;
        if get(map, owner, &rcu::read_lock()).is_some() {
            return Err(EEXIST);
        }
        let n = req.iterations;
        let put = |map: &ByteMap| {
            map.put(owner, Mode::NoExist, &[], &rcu::read_lock())
                .map(|_| ())
        };
        let mut others = KVec::with_capacity(MAPS_MAX as usize, GFP_KERNEL)?;
        let with_others = req.maps > 1 || req.bench == uapi::OSTOR_BENCH_CREATE_LATER;
        for _ in 0..if with_others { req.maps.max(2) - 1 } else { 0 } {
            let other = ByteMap::new(map.raw().value_size())?;
            put(&other)?;
            others.push(other, GFP_KERNEL)?;
        }
        req.empty_ns = measure(n, |_| black_box(()))?;
        runtime.flush();
        let reaped = runtime.stats.reap_ns.get();
        req.ns = match req.bench {
            uapi::OSTOR_BENCH_GET_HIT => {
                put(map)?;
                let ns = measure(n, |rcu| black_box(get(map, owner, rcu).is_some()));
                let _ = map.raw().delete(owner.id(), &rcu::read_lock());
                ns?
            }
            uapi::OSTOR_BENCH_GET_MISS => {
                measure(n, |rcu| black_box(get(map, owner, rcu).is_some()))?
            }
            uapi::OSTOR_BENCH_CREATE_FIRST | uapi::OSTOR_BENCH_CREATE_LATER => {
                measure(n, |rcu| create_delete(map, owner, rcu))?
            }
            uapi::OSTOR_BENCH_LOCK => {
                let lock = ResLock::new(());
                measure(n, |_| black_box(lock.with(Site::LinkLock, |()| ()).is_ok()))?
            }
            uapi::OSTOR_BENCH_ALLOC => measure(n, |_| black_box(nolock::alloc_and_free(128)))?,
            _ => return Err(EINVAL),
        };
        runtime.flush();
        req.reap_ns = runtime.stats.reap_ns.get() - reaped;
        Ok(())
    }
}

/// Nanoseconds that `n` calls of `op` take.
fn measure<R>(n: u64, mut op: impl FnMut(&Guard) -> R) -> Result<u64> {
    let mut ns = 0;
    let mut left = n;
    while left > 0 {
        if caller::current().signal_pending() {
            return Err(EINTR);
        }
        let chunk = left.min(CHUNK);
        let rcu = rcu::read_lock();
        // Neither ticks nor the reaper are what is measured.
        ns += irq::with_irqs_off(|| {
            let watch = Stopwatch::start();
            for _ in 0..chunk {
                op(&rcu);
            }
            watch.elapsed_ns()
        });
        drop(rcu);
        left -= chunk;
        deferred::cond_resched();
    }
    Ok(ns)
}

/// A lookup as a user's code calls it: not inlined into the loop.
#[inline(never)]
fn get<'a>(map: &'a ByteMap, owner: &impl Owner, rcu: &'a Guard) -> Option<&'a [u8]> {
    map.get(owner, rcu)
}

#[inline(never)]
fn create_delete(map: &ByteMap, owner: &impl Owner, rcu: &Guard) {
    let created = map.put(owner, Mode::Get, &[], rcu).is_ok();
    black_box(created && map.raw().delete(owner.id(), rcu).is_ok());
}
