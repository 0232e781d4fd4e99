// SPDX-License-Identifier: GPL-2.0
//! Processes live, die and are reaped while their storage is created.

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use anyhow::Result;
use nix::errno::Errno;
use ostor::device::{self, Map, Mode, Owner};
use ostor::process::Child;
use ostor::settle;

use super::findings::Findings;
use crate::progress::Progress;

/// How many processes there are at once.
const IN_FLIGHT: usize = 32;

/// The figure of how often a create for a process that was reaped was refused.
pub(crate) const REFUSED: &str = "refused for the reaped";

/// The figure of how often it was not.
pub(crate) const CREATED: &str = "created for the reaped";

/// When a process's storage is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// While it lives.
    Alive,
    /// While it exits, or right after.
    Exiting,
    /// When it is dead, and not reaped.
    Zombie,
    /// While it is reaped, by another thread. Only then may it be too late.
    Reaping,
}

impl Moment {
    const ALL: [Self; 4] = [Self::Alive, Self::Exiting, Self::Zombie, Self::Reaping];

    fn figure(self) -> &'static str {
        match self {
            Self::Alive => "created while it lived",
            Self::Exiting => "created while it exited",
            Self::Zombie => "created for a zombie",
            Self::Reaping => "created while it was reaped",
        }
    }
}

/// Forks and reaps `count` processes.
pub(crate) fn run(count: u64) -> Result<Findings> {
    let before = device::stats()?;
    let map = Map::create(16)?;
    let mut findings = thread::scope(|scope| {
        let (sender, receiver) = sync_channel(IN_FLIGHT);
        let map = &map;
        let other = scope.spawn(move || create_for_the_reaped(map, &receiver));
        let mut findings = fork_and_reap(map, count, sender)?;
        findings.merge(other.join().expect("the other thread does not panic"));
        anyhow::Ok(findings)
    })?;

    settle::until(|| Ok(map.info()?.elements == 0))?;
    let info = map.info()?;
    findings.add("freed by death", info.owner_deaths);
    findings.expect("elements in the map", info.elements, 0);
    findings.expect("elements freed by death", info.owner_deaths, info.created);
    drop(map);
    findings.expect_nothing_left(&before)?;
    Ok(findings)
}

/// Forks and reaps, and creates storage at all moments but the last, for which
/// it passes the pidfd on and reaps at once.
fn fork_and_reap(map: &Map, count: u64, sender: SyncSender<OwnedFd>) -> Result<Findings> {
    let mut findings = Findings::default();
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
                Ok(_) => findings.add(moment.figure(), 1),
                Err(error) => findings.problem(format!("{moment:?}: {error}")),
            }
            in_flight.push_back(child);
        }
        if in_flight.len() > IN_FLIGHT {
            in_flight
                .pop_front()
                .map(|child| bury(map, &child, &mut findings))
                .transpose()?;
        }
        progress.at(i + 1);
        if findings.is_hopeless() {
            break;
        }
    }
    in_flight
        .iter()
        .try_for_each(|child| bury(map, child, &mut findings))?;
    findings.add("processes", count);
    Ok(findings)
}

/// Kills and reaps a process, after which nothing can be attached to it.
fn bury(map: &Map, child: &Child, findings: &mut Findings) -> Result<()> {
    child.kill_and_reap()?;
    let result = map.update(Owner::task(child), &[], Mode::Any);
    let result = result.map_err(|error| error.errno());
    match result {
        Err(Errno::ESRCH) => findings.add(REFUSED, 1),
        other => {
            findings.add(CREATED, other.is_ok().into());
            findings.problem(format!("a reaped process: {other:?}, must be ESRCH"));
        }
    }
    Ok(())
}

/// Creates storage for processes that are being reaped.
fn create_for_the_reaped(map: &Map, receiver: &Receiver<OwnedFd>) -> Findings {
    let mut findings = Findings::default();
    for pidfd in receiver {
        let result = map.get_or_create(Owner::task(&pidfd), b"reaping");
        match result.map_err(|error| error.errno()) {
            Ok(_) => findings.add(Moment::Reaping.figure(), 1),
            Err(Errno::ESRCH) => findings.add("too late, it was reaped", 1),
            Err(errno) => findings.problem(format!("{:?}: {errno:?}", Moment::Reaping)),
        }
    }
    findings
}
