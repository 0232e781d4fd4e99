// SPDX-License-Identifier: GPL-2.0

//! Operations in contexts in which no system call runs.

use crate::{
    arg::Arg,
    context::{
        self,
        Context, //
    },
    op::Prepared,
    op_stats::OpStats,
    sync::{
        self,
        counter::Counter, //
    },
    thread::{
        self,
        Stop, //
    },
    uapi::{
        self,
        ostor_context,
        ostor_context_cpu,
        ostor_op, //
    }, //
};
use kernel::{
    prelude::*,
    time::{
        delay::fsleep,
        Delta, //
    },
    uaccess::{
        UserPtr,
        UserSlice, //
    }, //
};

/// Batches that a thread runs before it sleeps, so that other tasks run on its CPU.
const BATCHES: u32 = 32;

/// How long it sleeps.
const SLEEP: Delta = Delta::from_micros(50);

/// One CPU, and the results of the operations on it.
struct Place {
    cpu: u32,
    runs: Counter,
    elsewhere: Counter,
    inside: OpStats,
    below: OpStats,
}

impl Place {
    fn new(cpu: u32) -> Self {
        Self {
            cpu,
            runs: Counter::new(),
            elsewhere: Counter::new(),
            inside: OpStats::default(),
            below: OpStats::default(),
        }
    }

    fn to_uapi(&self) -> ostor_context_cpu {
        ostor_context_cpu {
            cpu: self.cpu,
            pad: 0,
            runs: self.runs.get(),
            elsewhere: self.elsewhere.get(),
            inside: self.inside.to_uapi(),
            below: self.below.to_uapi(),
        }
    }
}

/// What the threads of a command and its source use.
struct Session {
    ops: KVec<Prepared>,
    places: KVVec<Place>,
    period: Delta,
}

/// Runs operations in a context on some CPUs for a time.
pub(crate) fn run(arg: &Arg) -> Result {
    let mut req = ostor_context::default();
    arg.read(&mut req)?;
    let context = named(req.context)?;
    check(&req)?;
    let cpus = cpus_of(req.cpus)?;
    let session = Session {
        ops: read_ops(&req)?,
        places: places(&cpus)?,
        period: Delta::from_micros(req.period_us.into()),
    };
    session.write(&req)?;
    let is_below = req.flags & uapi::OSTOR_CONTEXT_BELOW != 0;
    let wait = || {
        thread::sleep_ms(req.duration_ms);
    };
    let thread = |cpu: u32, stop: &Stop| match (context, is_below) {
        (None, _) => session.run_in_task(cpu, stop),
        (Some(_), true) => session.run_below(cpu, stop),
        (Some(_), false) => session.sleep_and_wake(stop),
    };
    thread::with_threads(&cpus, &thread, || match context {
        None => {
            wait();
            Ok(())
        }
        Some(context) => {
            let inside = |is_there| session.inside(is_there);
            let period_ns = u64::from(req.period_us) * 1000;
            context::run_in(context, req.cpus, period_ns, &inside, wait)
        }
    })??;
    session.write(&req)
}

/// The context with this number. [`None`] is task context.
pub(crate) fn named(number: u32) -> Result<Option<Context>> {
    Ok(Some(match number {
        uapi::OSTOR_CONTEXT_TASK => return Ok(None),
        uapi::OSTOR_CONTEXT_SOFTIRQ => Context::Softirq,
        uapi::OSTOR_CONTEXT_TIMER => Context::Timer,
        uapi::OSTOR_CONTEXT_IRQ_WORK => Context::IrqWork,
        uapi::OSTOR_CONTEXT_IPI => Context::Ipi,
        uapi::OSTOR_CONTEXT_NMI => Context::Nmi,
        uapi::OSTOR_CONTEXT_KPROBE => Context::Kprobe,
        uapi::OSTOR_CONTEXT_RUN_QUEUE => Context::RunQueue,
        uapi::OSTOR_CONTEXT_ALLOC => Context::Alloc,
        _ => return Err(EINVAL),
    }))
}

/// Checks all fields that nothing has to be looked up for.
fn check(req: &ostor_context) -> Result {
    let flags = match req.context {
        uapi::OSTOR_CONTEXT_TASK => 0,
        _ => uapi::OSTOR_CONTEXT_BELOW,
    };
    if req.flags & !flags != 0
        || req.pad != 0
        || req.reserved != [0; 2]
        || !(1..=uapi::OSTOR_CONTEXT_OPS_MAX).contains(&req.ops_count)
        || !(100..=1_000_000).contains(&req.period_us)
        || !(1..=60_000).contains(&req.duration_ms)
    {
        return Err(EINVAL);
    }
    Ok(())
}

fn read_ops(req: &ostor_context) -> Result<KVec<Prepared>> {
    let count = req.ops_count as usize;
    let ptr = UserPtr::from_addr(usize::try_from(req.ops)?);
    let mut reader = UserSlice::new(ptr, count * size_of::<ostor_op>()).reader();
    let mut ops = KVec::with_capacity(count, GFP_KERNEL)?;
    for _ in 0..count {
        ops.push(Prepared::new(&reader.read()?)?, GFP_KERNEL)?;
    }
    Ok(ops)
}

/// The CPUs of a set, by rising number. Fails if one of them is not online.
pub(crate) fn cpus_of(set: u64) -> Result<KVec<u32>> {
    let mut cpus = KVec::new();
    for cpu in (0..u64::BITS).filter(|cpu| set & 1 << cpu != 0) {
        if !context::is_online(cpu) {
            return Err(EINVAL);
        }
        cpus.push(cpu, GFP_KERNEL)?;
    }
    if cpus.is_empty() {
        return Err(EINVAL);
    }
    Ok(cpus)
}

fn places(cpus: &[u32]) -> Result<KVVec<Place>> {
    let mut places = KVVec::with_capacity(cpus.len(), GFP_KERNEL)?;
    for &cpu in cpus {
        places.push(Place::new(cpu), GFP_KERNEL)?;
    }
    Ok(places)
}

impl Session {
    fn place(&self, cpu: u32) -> Option<&Place> {
        self.places.iter().find(|place| place.cpu == cpu)
    }

    /// Runs all operations once. Any context.
    fn batch(&self, stats: &OpStats) {
        for op in &self.ops {
            stats.time(|| op.run());
        }
    }

    /// Runs a batch in the context. Called by the source.
    fn inside(&self, is_there: bool) {
        let Some(place) = self.place(context::this_cpu()) else {
            return;
        };
        if is_there {
            place.runs.add(1);
            self.batch(&place.inside);
        } else {
            place.elsewhere.add(1);
        }
    }

    /// A thread that runs operations in task context, which is the context that was asked for.
    fn run_in_task(&self, cpu: u32, stop: &Stop) {
        let Some(place) = self.place(cpu) else {
            return;
        };
        while !stop.is_asked() {
            place.runs.add(1);
            self.batch(&place.inside);
            fsleep(self.period);
        }
    }

    /// A thread that runs operations for the context to interrupt.
    fn run_below(&self, cpu: u32, stop: &Stop) {
        let Some(place) = self.place(cpu) else {
            return;
        };
        while !stop.is_asked() {
            for _ in 0..BATCHES {
                self.batch(&place.below);
                sync::cond_resched();
            }
            fsleep(SLEEP);
        }
    }

    /// A thread that sleeps and wakes, so that the scheduler switches tasks.
    fn sleep_and_wake(&self, stop: &Stop) {
        while !stop.is_asked() {
            fsleep(self.period);
        }
    }

    fn write(&self, req: &ostor_context) -> Result {
        let ptr = UserPtr::from_addr(usize::try_from(req.results)?);
        let size = self.places.len() * size_of::<ostor_context_cpu>();
        let mut writer = UserSlice::new(ptr, size).writer();
        for place in &self.places {
            writer.write(&place.to_uapi())?;
        }
        Ok(())
    }
}
