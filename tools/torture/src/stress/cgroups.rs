// SPDX-License-Identifier: GPL-2.0
//! Cgroups are removed while processes leave them, while their directories are open, and
//! while sockets that were created inside pin them.

use std::fs;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::unistd::Pid;
use ostor::cgroup::{Cgroup, MOUNT, move_to};
use ostor::device::{self, Map, Mode, Owner};
use ostor::process::Child;
use ostor::settle;
use ostor::socket_maker::SocketMaker;

use super::descriptors;
use ostor::progress::Progress;
use ostor::report::Report;

/// The parent of all cgroups of the run.
const PARENT: &str = "/sys/fs/cgroup/ostor-stress";

const MAPS: usize = 3;

/// The state of a cgroup when it is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Its directory stays open.
    Open,
    /// A process in it has just been killed.
    Killed,
    /// Another thread is moving a process out of it.
    Left,
    /// A socket that was created inside pins it.
    Pinned,
}

impl State {
    const ALL: [Self; 4] = [Self::Open, Self::Killed, Self::Left, Self::Pinned];

    fn figure(self) -> &'static str {
        match self {
            Self::Open => "removed with their directory open",
            Self::Killed => "removed while a process died",
            Self::Left => "removed while a process left",
            Self::Pinned => "pinned by a socket",
        }
    }
}

/// A removed cgroup that a socket still pins.
struct Pinned {
    id: u64,
    directory: OwnedFd,
    socket: OwnedFd,
}

/// Creates, fills and removes `count` cgroups.
pub(crate) fn run(count: u64) -> Result<Report> {
    descriptors::allow(2 * count)?;
    let before = device::stats()?;
    // An interrupted run may have left cgroups.
    let _ = remove_all(Path::new(PARENT));
    let parent = Cgroup::create_at(PathBuf::from(PARENT))
        .with_context(|| format!("cannot create {PARENT}"))?;
    let maker = SocketMaker::start()?;
    let maps = (0..MAPS).map(|_| Map::create(64));
    let maps = maps.collect::<device::Result<Vec<_>>>()?;
    let mut run = Run {
        parent: &parent,
        maps: &maps,
        maker,
        open: Vec::new(),
        pinned: Vec::new(),
        report: Report::default(),
    };
    thread::scope(|scope| -> Result<()> {
        let (mover, moves) = channel();
        scope.spawn(move || move_away(&moves));
        let mut progress = Progress::new("cgroups", count);
        for i in 0..count {
            run.one(State::ALL[i as usize % State::ALL.len()], &mover)?;
            progress.at(i + 1);
            if run.report.is_hopeless() {
                break;
            }
        }
        Ok(())
    })?;
    let Run {
        open,
        pinned,
        mut report,
        ..
    } = run;
    finish(pinned, &maps, &mut report)?;
    drop((open, maps));
    parent.remove()?;
    report.expect_nothing_left(&before)?;
    Ok(report)
}

/// The state of a run.
struct Run<'a> {
    parent: &'a Cgroup,
    maps: &'a [Map],
    maker: SocketMaker,
    open: Vec<OwnedFd>,
    pinned: Vec<Pinned>,
    report: Report,
}

impl Run<'_> {
    /// Creates a cgroup, fills it and removes it in the given state.
    fn one(&mut self, state: State, mover: &Sender<Pid>) -> Result<()> {
        let cgroup = Cgroup::create_in(self.parent.path())?;
        let directory = cgroup.open()?;
        for (i, map) in self.maps.iter().enumerate() {
            let owner = match i % 2 {
                0 => Owner::cgroup(&directory),
                _ => Owner::CgroupId(cgroup.id()),
            };
            if let Err(error) = map.update(owner, &cgroup.id().to_ne_bytes(), Mode::NoExist) {
                self.report.problem(format!("{state:?}: {error}"));
            }
        }
        let id = cgroup.id();
        match state {
            State::Open => {
                cgroup.remove()?;
                self.open.push(directory);
            }
            State::Killed => {
                let process = Child::idle()?;
                cgroup.add(process.pid())?;
                process.kill()?;
                cgroup.remove()?;
            }
            State::Left => {
                let process = Child::idle()?;
                cgroup.add(process.pid())?;
                mover.send(process.pid())?;
                cgroup.remove()?;
            }
            State::Pinned => {
                let socket = self.maker.socket_in(&cgroup)?;
                cgroup.remove()?;
                self.pinned.push(Pinned {
                    id,
                    directory,
                    socket,
                });
            }
        }
        self.report.add(state.figure(), 1);
        self.report.add("cgroups", 1);
        Ok(())
    }
}

/// Moves processes to the root of the hierarchy.
fn move_away(moves: &Receiver<Pid>) {
    for pid in moves {
        // If the move fails, the removal of the cgroup fails and is reported.
        let _ = move_to(Path::new(MOUNT), pid);
    }
}

/// Checks that only pinned cgroups still have values, and that these lose them when their
/// sockets are closed.
fn finish(pinned: Vec<Pinned>, maps: &[Map], report: &mut Report) -> Result<()> {
    let all_have = |elements: u64| {
        settle::until(|| {
            let counts = maps.iter().map(|map| Ok(map.info()?.elements));
            Ok(counts.collect::<device::Result<Vec<_>>>()? == vec![elements; maps.len()])
        })
    };
    let count = pinned.len() as u64;
    let settled = all_have(count)?;
    report.expect("only the pinned cgroups have values", settled, true);
    for Pinned { id, directory, .. } in &pinned {
        match maps[0].get(Owner::cgroup(directory)) {
            Ok(elem) if elem.value[..8] == id.to_ne_bytes() => {}
            other => report.problem(format!("a pinned cgroup: {other:?}")),
        }
        match maps[0].update(Owner::cgroup(directory), &[], Mode::Any) {
            Err(error) if error.errno() == Errno::ESRCH => {}
            other => report.problem(format!("an update of a removed cgroup: {other:?}")),
        }
    }
    let mut directories = Vec::new();
    for pinned in pinned {
        drop(pinned.socket);
        directories.push(pinned.directory);
    }
    let settled = all_have(0)?;
    report.expect("no cgroup has values", settled, true);
    for directory in &directories {
        match maps[0].get(Owner::cgroup(directory)) {
            Err(error) if error.errno() == Errno::ESRCH => {}
            other => report.problem(format!("a released cgroup: {other:?}, must be ESRCH")),
        }
    }
    for map in maps {
        let info = map.info()?;
        report.expect(
            "values that ended with a cgroup",
            info.owner_deaths,
            info.created,
        );
    }
    Ok(())
}

/// Removes a cgroup and all cgroups in it.
fn remove_all(path: &Path) -> std::io::Result<()> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_all(&entry.path())?;
        }
    }
    fs::remove_dir(path)
}
