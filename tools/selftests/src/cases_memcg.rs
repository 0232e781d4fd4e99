// SPDX-License-Identifier: GPL-2.0
//! Values for owners whose memory cgroup is at a limit, stored in every context. Outside
//! task context a charge could wait for a lock that its own CPU holds, so none is made.

use std::hint::black_box;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use nix::errno::Errno;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::sysinfo::sysinfo;
use nix::unistd::{Pid, pause, pipe, read, write};
use ostor::cgroup::Cgroup;
use ostor::device::{self, Map, Mode, Owner};
use ostor::kernel::Kernel;
use ostor::process::Child;
use ostor::torture::{Context, Op, OpKind, OpStats, Run, TortureDevice};

use crate::harness::trial;
use crate::memcg::accounted;
use crate::needs;

/// Duration of the operations in one context.
const TIME: Duration = Duration::from_millis(1500);

/// Time from one batch to the next, the shortest possible.
const PERIOD: Duration = Duration::from_micros(100);

/// Operations of a batch.
const BATCH: usize = 16;

/// Bytes of memory of the owner's process.
const FILL: usize = 4 << 20;

/// The limit that the owner's cgroup has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit {
    /// `memory.high`: charges succeed and request reclaim, for which waking a worker would
    /// take the run queue's lock.
    High,
    /// `memory.max`: charges fail, and freeing the allocated object takes a lock of the slab
    /// allocator.
    Max,
}

impl Limit {
    fn name(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Max => "max",
        }
    }

    /// Bytes per value: nearly a page, or so few that a slab has many objects.
    fn value_size(self) -> u32 {
        match self {
            Self::High => 3900,
            Self::Max => 64,
        }
    }
}

/// One test per limit and context.
pub(crate) fn suite() -> Vec<Trial> {
    let of_limit = |limit: Limit| {
        Context::all().map(move |context| {
            let name = format!("cases_memcg::{}::{}", limit.name(), context);
            trial(name, move || stored_at_the_limit(limit, context))
        })
    };
    [Limit::High, Limit::Max]
        .into_iter()
        .flat_map(of_limit)
        .collect()
}

/// The CPUs that the driver can use.
pub(crate) fn cpus() -> nix::Result<Vec<usize>> {
    let set = sched_getaffinity(Pid::from_raw(0))?;
    Ok((0..CpuSet::count().min(64))
        .filter(|&cpu| set.is_set(cpu).unwrap_or(false))
        .collect())
}

/// A process in a new cgroup that has reached the limit.
fn owner_at(limit: Limit) -> Result<(Cgroup, Child)> {
    let cgroup = accounted()?;
    let (owner, mut link) = Child::linked(|link| {
        if link.receive().is_err() {
            return 1;
        }
        let memory = vec![1u8; FILL];
        black_box(&memory);
        if link.send("full").is_err() {
            return 1;
        }
        loop {
            pause();
        }
    })?;
    cgroup.add(owner.pid())?;
    link.send("fill")?;
    link.receive()?;
    match limit {
        Limit::High => cgroup.write("memory.high", "0")?,
        Limit::Max => {
            let now = cgroup.read("memory.current")?;
            cgroup.write("memory.max", now.trim())?;
        }
    }
    Ok((cgroup, owner))
}

/// Two processes that wake each other on one CPU, so that the lock of its run queue is taken
/// frequently.
fn wakers(cpu: usize) -> Result<[Child; 2]> {
    let (first, second) = (pipe()?, pipe()?);
    let waker = |from: &OwnedFd, to: &OwnedFd| {
        Child::start(|| {
            let mut byte = [0];
            let mut set = CpuSet::new();
            if set.set(cpu).is_err() || sched_setaffinity(Pid::from_raw(0), &set).is_err() {
                return 1;
            }
            while matches!(read(from, &mut byte), Ok(1)) && write(to, &byte).is_ok() {}
            0
        })
    };
    let wakers = [waker(&first.0, &second.1)?, waker(&second.0, &first.1)?];
    write(&first.1, &[0])?;
    Ok(wakers)
}

fn stored_at_the_limit(limit: Limit, context: Context) -> Result<()> {
    let has_memory = Kernel::running()?.allocates_in(context);
    let torture = TortureDevice::open()?;
    let (cpus, (cgroup, owner)) = (cpus()?, owner_at(limit)?);
    let map = Map::create(limit.value_size())?;
    let op = |i| Op {
        kind: [OpKind::Update, OpKind::Delete][i % 2],
        mode: Mode::Any,
        map: &map,
        owner: Owner::task(&owner),
        seed: i as u64,
    };
    let ops: Vec<_> = (0..BATCH).map(op).collect();
    let run = Run {
        context,
        ops: &ops,
        cpus: &cpus,
        period: PERIOD,
        // The thread below allocates and frees, which takes the allocator's locks and passes
        // probes.
        below: context != Context::Task,
    };
    let wakers = cpus.iter().map(|&cpu| wakers(cpu));
    let wakers = wakers.collect::<Result<Vec<_>>>()?;
    let before = device::stats()?.uncharged;
    let (seen, pending) = with_most_pending(|| run.run(&torture, TIME))?;
    let uncharged = device::stats()?.uncharged - before;
    drop(wakers);
    drop(map);
    owner.kill_and_reap()?;
    cgroup.remove()?;
    let seen = match seen {
        Err(error) if error.errno() == Errno::EOPNOTSUPP => {
            return needs::unable("this kernel or machine has no such context");
        }
        seen => seen?,
    };
    let (mut inside, mut below) = (OpStats::default(), OpStats::default());
    for one in &seen {
        inside.add(&one.inside.into());
        below.add(&one.below.into());
    }
    let runs: u64 = seen.iter().map(|one| one.runs).sum();
    if runs == 0 && context == Context::Nmi && seen.iter().any(|one| one.elsewhere != 0) {
        return needs::unable("this machine delivers NMIs as interrupts");
    }
    ensure!(runs > 0, "no batch ran in the context");
    // On a host that is slow to end grace periods, what is dead can reach its own limit.
    let is_full = pending >= pending_limit()? / 2;
    judge(limit, context, has_memory, is_full, &inside)?;
    let only_memory = below.failures().iter().all(|(e, _)| *e == Errno::ENOMEM);
    ensure!(only_memory && below.deadlocks() == 0, "below: {below:?}");
    match context {
        Context::Task => ensure!(uncharged == 0, "{uncharged} were not charged"),
        // Without a lock held, an allocation is the same as in task context.
        Context::Alloc => {}
        // A kprobe can allocate if it was optimized to a jump.
        Context::Kprobe if !has_memory => {}
        _ => ensure!(
            (uncharged > 0) == has_memory,
            "{uncharged} were not charged: {inside:?}"
        ),
    }
    Ok(())
}

/// Runs `body`, and returns the most bytes that waited to be freed meanwhile.
fn with_most_pending<T>(body: impl FnOnce() -> T) -> Result<(T, u64)> {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let sampler = scope.spawn(|| -> Result<u64> {
            let mut most = 0;
            while !stop.load(Ordering::Relaxed) {
                most = most.max(device::stats()?.pending_bytes);
                thread::sleep(Duration::from_millis(1));
            }
            Ok(most)
        });
        let result = body();
        stop.store(true, Ordering::Relaxed);
        Ok((result, sampler.join().expect("the sampler does not panic")?))
    })
}

/// Bytes that may wait to be freed, as the parameter `pending_limit` has it by default: a
/// 128th of memory.
fn pending_limit() -> Result<u64> {
    let memory = sysinfo()?.ram_total();
    Ok(memory / 128)
}

/// Checks the results in the context.
fn judge(
    limit: Limit,
    context: Context,
    has_memory: bool,
    is_full: bool,
    inside: &OpStats,
) -> Result<()> {
    // In task context allocations are charged, and memory.high does not refuse them.
    let is_refused = context != Context::Task || limit == Limit::Max || is_full;
    for (errno, count) in inside.failures() {
        ensure!(
            errno == Errno::ENOMEM && is_refused,
            "{count} times {errno:?}: {inside:?}"
        );
    }
    let may_cycle = context.comes_under_locks();
    ensure!(may_cycle || inside.deadlocks() == 0, "{inside:?}");
    if has_memory && (context != Context::Task || limit == Limit::High) {
        ensure!(inside.ok() > 0, "nothing was stored: {inside:?}");
    }
    if !has_memory && context != Context::Kprobe {
        let refused = inside.failures().into_iter().next();
        let (errno, _) = refused.context("memory, which there should not be")?;
        ensure!(errno == Errno::ENOMEM, "{errno:?}");
    }
    Ok(())
}
