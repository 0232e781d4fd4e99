// SPDX-License-Identifier: GPL-2.0

//! What operations cost, measured without the cost of a system call. Under `-icount` the clock
//! counts instructions.

use crate::{
    arg::Arg,
    shim,
    sync::{
        self,
        clock::Stopwatch,
        irq, //
    },
    uapi::{
        self,
        ostor_bench, //
    }, //
};
use core::hint::black_box;
use kernel::{
    bindings,
    current,
    prelude::*,
    sync::rcu::{
        self,
        Guard, //
    },
    types::Opaque, //
};
use owner_storage::{
    api::{
        self,
        ByteMap,
        Mode,
        Owner,
        OwnerSlot,
        Visitor, //
    },
    device::{
        self,
        MapFile, //
    }, //
};

/// Iterations under one RCU guard.
const CHUNK: u64 = 256;

/// The largest number of maps in which the owner has an element.
const MAPS_MAX: u32 = 64;

/// Measures what an operation costs.
pub(crate) fn bench(arg: &Arg) -> Result {
    let mut req = ostor_bench::default();
    arg.read_for_update(&mut req)?;
    if req.pad != 0
        || !(1..=MAPS_MAX).contains(&req.maps)
        || !(1..=u64::from(uapi::OSTOR_BENCH_MAX)).contains(&req.iterations)
    {
        return Err(EINVAL);
    }
    // SAFETY: Commands are ioctls.
    let file = unsafe { MapFile::of_fd(req.map_fd) }?;
    let owner = device::owner(&req.owner)?;
    let is_slot = req.bench & uapi::OSTOR_BENCH_SLOT != 0;
    let bench = Bench {
        map: file.map()?,
        req: &mut req,
    };
    if is_slot {
        bench.visit(&*KBox::pin_init(OwnerSlot::new(), GFP_KERNEL)?)?;
    } else {
        owner.visit(bench)?;
    }
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
        if get(map, owner, &rcu::read_lock()).is_some() {
            return Err(EEXIST);
        }
        let n = req.iterations;
        let put = |map: &ByteMap| {
            map.put(owner, Mode::NoExist, &[], &rcu::read_lock())
                .map(|_| ())
        };
        let mut others = KVec::with_capacity(MAPS_MAX as usize, GFP_KERNEL)?;
        let bench = req.bench & !uapi::OSTOR_BENCH_SLOT;
        let with_others = req.maps > 1 || bench == uapi::OSTOR_BENCH_CREATE_LATER;
        for _ in 0..if with_others { req.maps.max(2) - 1 } else { 0 } {
            let other = ByteMap::new(sync::this_module(), map.value_size())?;
            put(&other)?;
            others.push(other, GFP_KERNEL)?;
        }
        req.empty_ns = measure(n, |_| black_box(()))?;
        api::flush();
        let reaped = api::reap_ns();
        req.ns = match bench {
            uapi::OSTOR_BENCH_GET_HIT => {
                put(map)?;
                let ns = measure(n, |rcu| black_box(get(map, owner, rcu).is_some()));
                let _ = map.delete(owner, &rcu::read_lock());
                ns?
            }
            uapi::OSTOR_BENCH_GET_MISS => {
                measure(n, |rcu| black_box(get(map, owner, rcu).is_some()))?
            }
            uapi::OSTOR_BENCH_CREATE_FIRST | uapi::OSTOR_BENCH_CREATE_LATER => {
                measure(n, |rcu| create_delete(map, owner, rcu))?
            }
            uapi::OSTOR_BENCH_LOCK => {
                let lock = Opaque::new(bindings::rqspinlock_t::default());
                measure(n, |_| {
                    // SAFETY: The lock is all zeroes, which is one that is not held.
                    black_box(unsafe { shim::ostor_lock_pair(lock.get()) })
                })?
            }
            uapi::OSTOR_BENCH_ALLOC => {
                measure(n, |_| {
                    // SAFETY: An FFI call with no requirement.
                    black_box(unsafe { shim::ostor_nolock_pair(128) })
                })?
            }
            _ => return Err(EINVAL),
        };
        api::flush();
        req.reap_ns = api::reap_ns() - reaped;
        Ok(())
    }
}

/// Nanoseconds that `n` calls of `op` take.
fn measure<R>(n: u64, mut op: impl FnMut(&Guard) -> R) -> Result<u64> {
    let mut ns = 0;
    let mut left = n;
    while left > 0 {
        if current!().signal_pending() {
            return Err(EINTR);
        }
        let chunk = left.min(CHUNK);
        let rcu = rcu::read_lock();
        // With interrupts off, neither ticks nor the reaper are measured.
        ns += irq::with_irqs_off(|| {
            let watch = Stopwatch::start();
            for _ in 0..chunk {
                op(&rcu);
            }
            watch.elapsed_ns()
        });
        drop(rcu);
        left -= chunk;
        sync::cond_resched();
    }
    Ok(ns)
}

/// A lookup as another module has it: a function that is not inlined into a loop.
#[inline(never)]
fn get<'a>(map: &'a ByteMap, owner: &impl Owner, rcu: &'a Guard) -> Option<&'a [u8]> {
    map.get(owner, rcu)
}

#[inline(never)]
fn create_delete(map: &ByteMap, owner: &impl Owner, rcu: &Guard) {
    let created = map.put(owner, Mode::Get, &[], rcu).is_ok();
    black_box(created && map.delete(owner, rcu).is_ok());
}
