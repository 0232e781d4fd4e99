// SPDX-License-Identifier: GPL-2.0
//! Tasks that change their number while values are stored for them: the gate must let
//! them through.
//!
//! No command names a task, a cgroup, a network namespace or a socket before the
//! kernel has finished it: a pidfd finds a task once it is a member of its number, an
//! id a cgroup once its directory is active, a descriptor the others. So what a fork, a
//! `mkdir` of a cgroup, a new namespace or `socket()` that fails leaves behind cannot be
//! tested from user space; the KUnit suite `ostor_half_made` has forks and cgroups.

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

/// What this program is called with to execute itself when it is told to.
pub(crate) const EXECUTE: &str = "execute-when-told";

/// How often the process executes, for each context.
const ROUNDS: usize = 15;

/// How long operations run in another context, while the process executes once.
const TIME: Duration = Duration::from_millis(300);

/// Time from batch to batch: the shortest that there is.
const PERIOD: Duration = Duration::from_micros(100);

/// A process whose second thread tells its number, and executes this program anew in
/// the same way when it is told to. It ends with the other end of its standard input.
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

/// This program, as such a process.
fn this_program() -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg(EXECUTE);
    command
}

/// Such a process.
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

    /// The thread that will execute next.
    fn next_thread(&mut self) -> Result<OwnedFd> {
        let tid = Pid::from_raw(self.link.receive()?.parse()?);
        Ok(pidfd_open(tid, Names::Thread)?)
    }

    /// Has that thread execute, and returns the one that will do so next.
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

/// What came out while the process executed once.
struct Seen {
    /// In the other context, for the thread that executed.
    inside: OpStats,
    /// In a thread on each CPU, for the same one.
    below: OpStats,
    /// Whether these went on until the process had executed.
    is_whole: bool,
}

/// A thread that is not the leader executes, over and over. It takes the leader's
/// number, and for some instructions each of the two is found by the other's. The gate
/// looks there. It must never take the thread for one whose fork may fail, on any CPU,
/// and the process never has no task.
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

/// The leader has a value, and so has the thread that executes. A lookup by the process
/// finds the one or the other, though the leader that it named when the lookup began may
/// be dead, and its value gone, when the lookup comes to it.
fn an_exec_never_loses_a_value() -> Result<()> {
    needs::two_cpus()?;
    let cpu = *cpus()?.last().context("there is no CPU")?;
    // What a lookup does last before it looks. There it is preempted, and has to wait
    // for so many others that a dead leader's grace period is over when it goes on.
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

/// Has the calling thread run on one CPU only.
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

/// Looks for the owner's value until told to stop: it is always there.
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
    // The allocator tries no lock twice in NMI.
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

/// Has `thread` execute, while values are stored for it in `context`, and for its
/// process by system calls. Returns the thread that will execute next.
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
        let elsewhere = scope.spawn(|| run.run(&torture, map, TIME));
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

/// Stores, reads and deletes the owner's value until told to stop. Only to find nothing
/// is no fault.
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
