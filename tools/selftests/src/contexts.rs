// SPDX-License-Identifier: GPL-2.0
//! The driver that runs operations in other contexts.

use std::os::fd::{AsFd, AsRawFd};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::wait::WaitStatus;
use ostor::device::{self, Map, Mode, Owner};
use ostor::kernel::Kernel;
use ostor::process::Child;
use ostor::settle;
use ostor::sys::ioctl::Buffer;
use ostor::torture::{Context, Op, OpKind, OpStats, Run, TortureDevice, ioctl};
use uapi::{ostor_context, ostor_context_cpu, ostor_op};

use crate::harness::{assert_refused, assert_refused_unchanged, new_map};
use crate::needs;

crate::suite![
    a_batch_runs_in_turn_on_the_chosen_cpu,
    without_a_thread_below_nothing_runs_below,
    results_are_told_apart,
    one_at_a_time_in_each_context,
    a_signal_ends_it,
    results_that_cannot_be_written,
    refused,
];

/// An operation on the element of a process.
fn op<'a>(kind: OpKind, map: &'a Map, owner: &'a Child) -> Op<'a> {
    Op {
        kind,
        mode: Mode::Any,
        map,
        owner: Owner::task(owner),
        seed: 7,
    }
}

fn run<'a>(context: Context, ops: &'a [Op<'a>], cpus: &'a [usize]) -> Run<'a> {
    Run {
        context,
        ops,
        cpus,
        period: Duration::from_millis(1),
        below: false,
    }
}

const MOMENT: Duration = Duration::from_millis(100);

fn a_batch_runs_in_turn_on_the_chosen_cpu() -> Result<()> {
    needs::two_cpus()?;
    let kernel = Kernel::running()?;
    let torture = TortureDevice::open()?;
    let (map, owner) = (new_map()?, Child::idle()?);
    let ops = [OpKind::Update, OpKind::Lookup, OpKind::Delete].map(|kind| op(kind, &map, &owner));
    for cpu in [0, 1] {
        for context in [Context::Task, Context::Softirq, Context::Timer] {
            if !kernel.allocates_in(context) {
                continue;
            }
            let seen = run(context, &ops, &[cpu]).run(&torture, MOMENT)?;
            let [seen] = seen.as_slice() else {
                anyhow::bail!("{} CPUs", seen.len())
            };
            assert_eq!((seen.cpu as usize, seen.elsewhere), (cpu, 0), "{context:?}");
            assert!(seen.runs > 0, "{context:?}");
            // No other batch runs, so each finds what it has stored, and deletes it.
            assert_eq!(seen.inside.ok, 3 * seen.runs, "{context:?}");
            assert_eq!(seen.inside.histogram.iter().sum::<u64>(), 3 * seen.runs);
            assert!(seen.inside.max_ns > 0);
        }
    }
    Ok(())
}

fn without_a_thread_below_nothing_runs_below() -> Result<()> {
    let torture = TortureDevice::open()?;
    let (map, owner) = (new_map()?, Child::idle()?);
    let ops = [op(OpKind::Create, &map, &owner)];
    let alone = run(Context::Softirq, &ops, &[0]);
    let seen = alone.run(&torture, MOMENT)?;
    assert_eq!(OpStats::from(seen[0].below), OpStats::default());
    let seen = Run {
        below: true,
        ..alone
    }
    .run(&torture, MOMENT)?;
    assert!(seen[0].below.ok > 0 && seen[0].inside.ok > 0);
    assert_eq!(map.info()?.elements, 1);
    Ok(())
}

fn results_are_told_apart() -> Result<()> {
    let torture = TortureDevice::open()?;
    let (map, owner) = (new_map()?, Child::idle()?);
    let count = |op: Op<'_>| -> Result<ostor_context_cpu> {
        let seen = run(Context::Timer, &[op], &[0]).run(&torture, MOMENT)?;
        seen.into_iter().next().context("one CPU")
    };
    let seen = count(op(OpKind::Lookup, &map, &owner))?;
    assert_eq!(seen.inside.enoent, seen.runs);
    map.update(Owner::task(&owner), b"", Mode::Any)?;
    let seen = count(Op {
        mode: Mode::NoExist,
        ..op(OpKind::Update, &map, &owner)
    })?;
    assert_eq!(seen.inside.eexist, seen.runs);
    map.delete(Owner::task(&owner)).map_err(anyhow::Error::from)
}

fn one_at_a_time_in_each_context() -> Result<()> {
    let torture = TortureDevice::open()?;
    let (map, owner) = (new_map()?, Child::idle()?);
    let ops = [op(OpKind::Update, &map, &owner)];
    let softirq = run(Context::Softirq, &ops, &[0]);
    thread::scope(|scope| -> Result<()> {
        let first = scope.spawn(|| softirq.run(&torture, Duration::from_secs(2)));
        assert!(settle::until(|| Ok(map.info()?.created > 0))?, "no softirq");
        match softirq.run(&torture, Duration::from_millis(1)) {
            Err(error) => assert_eq!(error.errno(), Errno::EBUSY),
            Ok(_) => panic!("both at once"),
        }
        run(Context::Timer, &ops, &[0]).run(&torture, Duration::from_millis(1))?;
        first.join().expect("no panic")?;
        Ok(())
    })?;
    softirq.run(&torture, Duration::from_millis(1))?;
    Ok(())
}

fn a_signal_ends_it() -> Result<()> {
    let torture = TortureDevice::open()?;
    let (map, owner) = (new_map()?, Child::idle()?);
    let start = Instant::now();
    let child = Child::start(|| {
        let ops = [op(OpKind::Update, &map, &owner)];
        let run = run(Context::Softirq, &ops, &[0]);
        run.run(&torture, Duration::from_secs(60)).is_err().into()
    })?;
    let begun = settle::until(|| Ok(map.info()?.created > 0))?;
    child.kill()?;
    let status = child.reap()?;
    assert!(
        matches!(status, WaitStatus::Signaled(_, Signal::SIGKILL, _)),
        "{status:?}"
    );
    assert!(begun && start.elapsed() < Duration::from_secs(50));
    let created = map.info()?.created;
    thread::sleep(MOMENT);
    assert_eq!(map.info()?.created, created, "still at work");
    Ok(())
}

fn results_that_cannot_be_written() -> Result<()> {
    let (map, torture) = (new_map()?, TortureDevice::open()?);
    let mut ops = [valid_op(&map)];
    for results in [
        Buffer::Null,
        Buffer::ReadOnly,
        Buffer::Nowhere,
        Buffer::Kernel,
    ] {
        let what = format!("{results:?}");
        assert_refused_unchanged(&map, Errno::EFAULT, what, || {
            ioctl::context(&torture, &mut valid(), Buffer::At(&mut ops), results)
        });
    }
    for ops in [Buffer::Null, Buffer::Nowhere, Buffer::Kernel] {
        let what = format!("{ops:?}");
        let mut seen = [ostor_context_cpu::default()];
        assert_refused_unchanged(&map, Errno::EFAULT, what, || {
            ioctl::context(&torture, &mut valid(), ops, Buffer::At(&mut seen))
        });
    }
    Ok(())
}

fn valid_op(map: &Map) -> ostor_op {
    ostor_op {
        op: uapi::OSTOR_OP_UPDATE,
        map_fd: map.as_fd().as_raw_fd(),
        ..ostor_op::default()
    }
}

fn valid() -> ostor_context {
    ostor_context {
        cpus: 1,
        context: uapi::OSTOR_CONTEXT_TIMER,
        ops_count: 1,
        period_us: 1000,
        duration_ms: 1,
        ..ostor_context::default()
    }
}

fn refused() -> Result<()> {
    let (map, device, dead) = (new_map()?, device::open()?, Child::idle()?);
    dead.kill_and_reap()?;
    let torture = TortureDevice::open()?;
    let attempt = |mut arg: ostor_context, op: ostor_op| {
        let mut ops = vec![op; arg.ops_count.min(64) as usize];
        let mut seen = vec![ostor_context_cpu::default(); 64];
        arg.ops_count = arg.ops_count.min(64);
        ioctl::context(
            &torture,
            &mut arg,
            Buffer::At(&mut ops),
            Buffer::At(&mut seen),
        )
    };
    type Change = (&'static str, fn(&mut ostor_context));
    let changes: [Change; 14] = [
        ("unknown context", |arg| arg.context = 9),
        ("unknown flag", |arg| arg.flags = 2),
        ("a task below a task", |arg| {
            arg.context = uapi::OSTOR_CONTEXT_TASK;
            arg.flags = uapi::OSTOR_CONTEXT_BELOW;
        }),
        ("no operation", |arg| arg.ops_count = 0),
        ("too many operations", |arg| {
            arg.ops_count = uapi::OSTOR_CONTEXT_OPS_MAX + 1
        }),
        ("no CPU", |arg| arg.cpus = 0),
        ("a CPU that is not there", |arg| arg.cpus = (1 << 63) | 1),
        ("too often", |arg| arg.period_us = 99),
        ("too seldom", |arg| arg.period_us = 1_000_001),
        ("no time", |arg| arg.duration_ms = 0),
        ("too much time", |arg| arg.duration_ms = 60_001),
        ("pad", |arg| arg.pad = 1),
        ("first reserved", |arg| arg.reserved[0] = 1),
        ("last reserved", |arg| arg.reserved[1] = 1),
    ];
    for (what, change) in changes {
        let mut arg = valid();
        change(&mut arg);
        assert_refused_unchanged(&map, Errno::EINVAL, what, || attempt(arg, valid_op(&map)));
    }
    type OpChange<'a> = (Errno, &'static str, &'a dyn Fn(&mut ostor_op));
    let changes: [OpChange<'_>; 6] = [
        (Errno::EINVAL, "unknown operation", &|op| op.op = 5),
        (Errno::EINVAL, "flags", &|op| op.flags = 3),
        (Errno::EINVAL, "a file that is no map", &|op| {
            op.map_fd = std::os::fd::AsRawFd::as_raw_fd(&device)
        }),
        (Errno::EBADF, "no descriptor", &|op| op.map_fd = 9999),
        (Errno::EBADF, "no map", &|op| op.map_fd = -1),
        (Errno::ESRCH, "a dead owner", &|op| {
            op.owner = Owner::task(&dead).to_uapi()
        }),
    ];
    for (errno, what, change) in changes {
        let mut op = valid_op(&map);
        change(&mut op);
        assert_refused_unchanged(&map, errno, what, || attempt(valid(), op));
    }
    attempt(valid(), valid_op(&map))?;
    map.delete(Owner::Current)
        .or_else(|error| match error.errno() {
            // The timer may not have fired in that one millisecond.
            Errno::ENOENT => Ok(()),
            _ => Err(error),
        })?;
    assert_refused(map.get(Owner::Current), Errno::ENOENT);
    Ok(())
}
