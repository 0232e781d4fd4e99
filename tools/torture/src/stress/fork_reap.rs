// SPDX-License-Identifier: GPL-2.0
//! Processes exit and are reaped while their storage is created.

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use anyhow::Result;
use nix::errno::Errno;
use ostor::device::{self, Map, Mode, Owner};
use ostor::process::Child;
use ostor::settle;

use ostor::progress::Progress;
use ostor::report::Report;

/// Number of processes at a time.
const IN_FLIGHT: usize = 32;

/// The figure of creates for a reaped process that were refused.
pub(crate) const REFUSED: &str = "refused after the reaping";

/// The figure of creates for a reaped process that succeeded.
pub(crate) const CREATED: &str = "created after the reaping";

/// The moment at which a process's storage is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// While the process runs.
    Alive,
    /// While the process exits, or right after.
    Exiting,
    /// When the process is a zombie.
    Zombie,
    /// While another thread reaps the process. Only then may the create fail.
    Reaping,
}

impl Moment {
    const ALL: [Self; 4] = [Self::Alive, Self::Exiting, Self::Zombie, Self::Reaping];

    fn figure(self) -> &'static str {
        match self {
            Self::Alive => "created while the process ran",
            Self::Exiting => "created while the process exited",
            Self::Zombie => "created for a zombie",
            Self::Reaping => "created during the reaping",
        }
    }
}

/// Forks and reaps `count` processes.
pub(crate) fn run(count: u64) -> Result<Report> {
    let before = device::stats()?;
    let map = Map::create(16)?;
    let mut report = thread::scope(|scope| {
        let (sender, receiver) = sync_channel(IN_FLIGHT);
        let map = &map;
        let other = scope.spawn(move || create_during_reaping(map, &receiver));
        let mut report = fork_and_reap(map, count, sender)?;
        report.merge(other.join().expect("the other thread does not panic"));
        anyhow::Ok(report)
    })?;

    settle::until(|| Ok(map.info()?.elements == 0))?;
    let info = map.info()?;
    report.add("elements ended by death", info.owner_deaths);
    report.expect("elements in the map", info.elements, 0);
    report.expect("elements ended by death", info.owner_deaths, info.created);
    drop(map);
    report.expect_nothing_left(&before)?;
    Ok(report)
}

/// Forks and reaps, and creates storage at each moment. For the last one it sends the
/// pidfd to the other thread and reaps the process immediately.
fn fork_and_reap(map: &Map, count: u64, sender: SyncSender<OwnedFd>) -> Result<Report> {
    let mut report = Report::default();
    let mut progress = Progress::new("processes", count);
    let mut in_flight = VecDeque::new();
    for i in 0..count {
        let moment = Moment::ALL[i as usize % Moment::ALL.len()];
        let child = if moment == Moment::Alive {
            Child::idle()?
        } else {
            Child::brief()?
        };
        if moment == Moment::Reaping {
            sender.send(child.as_fd().try_clone_to_owned()?)?;
            child.reap()?;
        } else {
            if moment == Moment::Zombie {
                child.wait_zombie()?;
            }
            match map.update(Owner::task(&child), &i.to_ne_bytes(), Mode::NoExist) {
                Ok(_) => report.add(moment.figure(), 1),
                Err(error) => report.problem(format!("{moment:?}: {error}")),
            }
            in_flight.push_back(child);
        }
        if in_flight.len() > IN_FLIGHT {
            in_flight
                .pop_front()
                .map(|child| kill_and_check(map, &child, &mut report))
                .transpose()?;
        }
        progress.at(i + 1);
        if report.is_hopeless() {
            break;
        }
    }
    in_flight
        .iter()
        .try_for_each(|child| kill_and_check(map, child, &mut report))?;
    report.add("processes", count);
    Ok(report)
}

/// Kills and reaps a process, and checks that no value can be attached to it any more.
fn kill_and_check(map: &Map, child: &Child, report: &mut Report) -> Result<()> {
    child.kill_and_reap()?;
    let result = map.update(Owner::task(child), &[], Mode::Any);
    let result = result.map_err(|error| error.errno());
    match result {
        Err(Errno::ESRCH) => report.add(REFUSED, 1),
        other => {
            report.add(CREATED, other.is_ok().into());
            report.problem(format!("a reaped process: {other:?}, must be ESRCH"));
        }
    }
    Ok(())
}

/// Creates storage for processes that the other thread is reaping.
fn create_during_reaping(map: &Map, receiver: &Receiver<OwnedFd>) -> Report {
    let mut report = Report::default();
    for pidfd in receiver {
        let result = map.get_or_create(Owner::task(&pidfd), b"reaping");
        match result.map_err(|error| error.errno()) {
            Ok(_) => report.add(Moment::Reaping.figure(), 1),
            Err(Errno::ESRCH) => report.add("refused during the reaping", 1),
            Err(errno) => report.problem(format!("{:?}: {errno:?}", Moment::Reaping)),
        }
    }
    report
}
