// SPDX-License-Identifier: GPL-2.0
//! Tasks whose id changes while values are stored for them: the gate must accept them.
//!
//! A command can name a task, cgroup, network namespace or socket only after the kernel has
//! completed it: a pidfd finds a task that is attached to its pid, an id a cgroup with an
//! active directory, a descriptor the others. User space therefore cannot test a failed
//! fork, `mkdir` of a cgroup, new namespace or `socket()`; the KUnit suite
//! `ostor_unfinished_owners` tests forks and cgroups.

use std::hint;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::{Pid, gettid};
use ostor::device::{self, Map, Mode, Owner};
use ostor::kernel::Kernel;
use ostor::process::{Child, Link};
use ostor::settle;
use ostor::sys::process::{Names, pidfd_open};
use ostor::torture::{Context, Op, OpKind, OpStats, Run, TortureDevice};

use crate::cases_memcg::cpus;
use crate::harness::{assert_elements_become, new_map};
use crate::needs;
use crate::slowed::Slowed;

crate::suite![an_exec_never_loses_a_task, an_exec_never_loses_a_value];

/// First argument of this program that runs [`execute_when_told`].
pub(crate) const EXECUTE: &str = "execute-when-told";

/// Number of execs for each context.
const ROUNDS: usize = 15;

/// Duration of the operations in another context, during which the process executes once.
const TIME: Duration = Duration::from_millis(300);

/// Time from one batch to the next, the shortest possible.
const PERIOD: Duration = Duration::from_micros(100);

/// Sends the id of a second thread, and lets that thread execute this program again with
/// the same argument on request. Ends when its standard input is closed.
pub(crate) fn execute_when_told() -> ExitCode {
    let thread = || -> Result<()> {
        let stdin = std::io::stdin().as_fd().try_clone_to_owned()?;
        let mut link = Link::new(stdin.into());
        link.send(&gettid().to_string())?;
        link.receive()?;
        Err(this_program().exec().into())
    };
    match thread::spawn(thread).join() {
        Ok(Ok(())) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// The command that starts this program so.
fn this_program() -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg(EXECUTE);
    command
}

/// A process that runs [`execute_when_told`].
struct Executing {
    process: std::process::Child,
    pidfd: OwnedFd,
    link: Link,
}

impl Executing {
    fn start() -> Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        let stdin = OwnedFd::from(theirs);
        let process = this_program().stdin(stdin).spawn()?;
        let pid = Pid::from_raw(process.id().try_into()?);
        Ok(Self {
            process,
            pidfd: pidfd_open(pid, Names::Process)?,
            link: Link::new(ours),
        })
    }

    /// The thread that executes next.
    fn next_thread(&mut self) -> Result<OwnedFd> {
        let tid = Pid::from_raw(self.link.receive()?.parse()?);
        Ok(pidfd_open(tid, Names::Thread)?)
    }

    /// Lets that thread execute, and returns the one that executes next.
    fn execute(&mut self) -> Result<OwnedFd> {
        self.link.send("execute")?;
        self.next_thread()
    }

    fn end(mut self) -> Result<()> {
        drop(self.link);
        self.process.wait()?;
        Ok(())
    }
}

/// The results of operations during one exec.
struct Seen {
    /// In the other context, with the executing thread as owner.
    inside: OpStats,
    /// In a thread on each CPU, with the same owner.
    below: OpStats,
    /// Whether the operations ran until the exec was done.
    is_whole: bool,
}

/// A thread that is not the leader executes repeatedly. It takes over the leader's pid, and
/// for some instructions each of the two threads is found by the other's pid. The gate reads
/// the pid. It must never take the thread for one whose fork may still fail, on any CPU, and
/// the process must always have a task.
fn an_exec_never_loses_a_task() -> Result<()> {
    needs::two_cpus()?;
    let _slowed = Slowed::start("exchange_tids")?;
    for context in [Context::Timer, Context::Nmi] {
        match execute_beside(context) {
            Err(error) if is_missing(&error) && context == Context::Nmi => {}
            result => result?,
        }
    }
    Ok(())
}

/// The leader and the executing thread have a value. A lookup by the process finds one of
/// them, although the leader at the beginning of the lookup may be dead, and its value gone,
/// when the lookup reads it.
fn an_exec_never_loses_a_value() -> Result<()> {
    needs::two_cpus()?;
    let cpu = *cpus()?.last().context("there is no CPU")?;
    // The last function before the lookup reads the storage. The lookup is preempted there,
    // and waits for so many other threads that the grace period of a dead leader ends first.
    let _slowed = Slowed::start("fput")?;
    let busy = (0..BUSY).map(|_| Child::start(move || spin_on(cpu)));
    let _busy = busy.collect::<Result<Vec<_>, _>>()?;
    let (map, mut executing) = (new_map()?, Executing::start()?);
    let mut thread = executing.next_thread()?;
    let process = executing.pidfd.try_clone()?;
    map.update(Owner::task(&process), b"x", Mode::Any)?;
    for _ in 0..ROUNDS {
        map.update(Owner::task(&thread), b"x", Mode::Any)?;
        let stop = AtomicBool::new(false);
        let (looked, next) = thread::scope(|scope| {
            let looks = scope.spawn(|| look(&map, Owner::task(&process), cpu, &stop));
            let next = executing.execute();
            stop.store(true, Ordering::Relaxed);
            (looks.join().expect("it does not panic"), next)
        });
        looked.context("while the process executed")?;
        thread = next?;
    }
    executing.end()?;
    assert_elements_become(&map, 0);
    Ok(())
}

/// Processes that keep a CPU busy.
const BUSY: usize = 16;

/// Binds the calling thread to one CPU.
fn stay_on(cpu: usize) -> nix::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    sched_setaffinity(Pid::from_raw(0), &set)
}

fn spin_on(cpu: usize) -> i32 {
    if stay_on(cpu).is_err() {
        return 1;
    }
    loop {
        hint::spin_loop();
    }
}

/// Looks up the owner's value until `stop` is set. It must always be found.
fn look(map: &Map, owner: Owner<'_>, cpu: usize, stop: &AtomicBool) -> Result<()> {
    stay_on(cpu)?;
    while !stop.load(Ordering::Relaxed) {
        map.get(owner)?;
    }
    Ok(())
}

/// Whether this kernel or machine has no such context.
fn is_missing(error: &anyhow::Error) -> bool {
    let refused = error.downcast_ref::<device::Error>();
    refused.is_some_and(|error| error.errno() == Errno::EOPNOTSUPP)
}

fn execute_beside(context: Context) -> Result<()> {
    let has_memory = Kernel::running()?.allocates_in(context);
    let (map, mut executing) = (new_map()?, Executing::start()?);
    let mut thread = executing.next_thread()?;
    let (mut inside, mut below, mut whole) = (OpStats::default(), OpStats::default(), 0);
    for _ in 0..ROUNDS {
        let seen;
        (seen, thread) = execute_once(context, &map, &mut executing, &thread)?;
        inside.add(&seen.inside);
        below.add(&seen.below);
        whole += usize::from(seen.is_whole);
    }
    executing.end()?;
    assert_elements_become(&map, 0);
    ensure!(whole > 0, "no exec was done in {TIME:?}");
    ensure!(
        below.failures().is_empty() && below.deadlocks() == 0,
        "in a thread: {below:?}"
    );
    // The allocator tries each lock once in an NMI.
    let may_lack_memory = !has_memory || context == Context::Nmi;
    let failures = inside.failures();
    ensure!(
        failures.is_empty() || (may_lack_memory && failures.iter().all(is_no_memory)),
        "in {context:?}: {failures:?}"
    );
    Ok(())
}

fn is_no_memory(failure: &(Errno, u64)) -> bool {
    failure.0 == Errno::ENOMEM
}

/// Lets `thread` execute while values are stored for it in `context`, and for its process by
/// system calls. Returns the thread that executes next.
fn execute_once(
    context: Context,
    map: &Map,
    executing: &mut Executing,
    thread: &OwnedFd,
) -> Result<(Seen, OwnedFd)> {
    let op = |kind| Op {
        kind,
        mode: Mode::Any,
        map,
        owner: Owner::task(thread),
        seed: 7,
    };
    let ops = [
        OpKind::Update,
        OpKind::Lookup,
        OpKind::Create,
        OpKind::Delete,
    ]
    .map(op);
    let cpus = cpus()?;
    let run = Run {
        context,
        ops: &ops,
        cpus: &cpus,
        period: PERIOD,
        below: true,
    };
    let torture = TortureDevice::open()?;
    let stop = AtomicBool::new(false);
    let process = executing.pidfd.try_clone()?;
    let (seen, called, next) = thread::scope(|scope| {
        let begun = map.info()?.created;
        let elsewhere = scope.spawn(|| run.run(&torture, TIME));
        let has_begun = settle::until(|| Ok(map.info()?.created > begun));
        let caller = scope.spawn(|| call(map, Owner::task(&process), &stop));
        let execute = || -> Result<_> {
            ensure!(has_begun?, "nothing begins");
            Ok((executing.execute()?, !elsewhere.is_finished()))
        };
        let next = execute();
        stop.store(true, Ordering::Relaxed);
        let called = caller.join().expect("the caller does not panic");
        let seen = elsewhere.join().expect("the driver does not panic")?;
        Ok::<_, anyhow::Error>((seen, called, next))
    })?;
    called.context("by a system call")?;
    let (next, is_whole) = next?;
    let mut result = Seen {
        inside: OpStats::default(),
        below: OpStats::default(),
        is_whole,
    };
    for one in &seen {
        result.inside.add(&one.inside.into());
        result.below.add(&one.below.into());
    }
    Ok((result, next))
}

/// Stores, reads and deletes the owner's value until `stop` is set. Only ENOENT may occur.
fn call(map: &Map, owner: Owner<'_>, stop: &AtomicBool) -> device::Result<()> {
    let found = |result: device::Result<()>| match result {
        Err(error) if error.errno() == Errno::ENOENT => Ok(()),
        result => result,
    };
    while !stop.load(Ordering::Relaxed) {
        map.update(owner, b"x", Mode::Any)?;
        found(map.get(owner).map(drop))?;
        found(map.delete(owner))?;
    }
    Ok(())
}
