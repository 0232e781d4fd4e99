// SPDX-License-Identifier: GPL-2.0
//! Cgroups are removed while processes leave them, while their directories are
//! open, and while sockets that were made inside pin them.

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
use super::findings::Findings;
use crate::progress::Progress;

/// The cgroup in which the others are made.
const PARENT: &str = "/sys/fs/cgroup/ostor-stress";

const MAPS: usize = 3;

/// What is in a cgroup, or holds it, when it is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Its directory is open, and stays so.
    Open,
    /// A process in it was killed just now.
    Killed,
    /// A process in it is being moved away, by another thread.
    Left,
    /// A socket that was made inside pins it.
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

/// A removed cgroup that a socket pins.
struct Pinned {
    id: u64,
    directory: OwnedFd,
    socket: OwnedFd,
}

/// Makes, fills and removes `count` cgroups.
pub(crate) fn run(count: u64) -> Result<Findings> {
    descriptors::allow(2 * count)?;
    let before = device::stats()?;
    // Those that an earlier run may have left are in the way.
    let _ = remove_all(Path::new(PARENT));
    let parent = Cgroup::create_at(PathBuf::from(PARENT))
        .with_context(|| format!("cannot make {PARENT}"))?;
    let maker = SocketMaker::start()?;
    let maps = (0..MAPS).map(|_| Map::create(64));
    let maps = maps.collect::<device::Result<Vec<_>>>()?;
    let mut play = Play {
        parent: &parent,
        maps: &maps,
        maker,
        open: Vec::new(),
        pinned: Vec::new(),
        findings: Findings::default(),
    };
    thread::scope(|scope| -> Result<()> {
        let (mover, moves) = channel();
        scope.spawn(move || move_away(&moves));
        let mut progress = Progress::new("cgroups", count);
        for i in 0..count {
            play.one(State::ALL[i as usize % State::ALL.len()], &mover)?;
            progress.at(i + 1);
            if play.findings.is_hopeless() {
                break;
            }
        }
        Ok(())
    })?;
    let Play {
        open,
        pinned,
        mut findings,
        ..
    } = play;
    finish(pinned, &maps, &mut findings)?;
    drop((open, maps));
    parent.remove()?;
    findings.expect_nothing_left(&before)?;
    Ok(findings)
}

/// What the cgroups are played with.
struct Play<'a> {
    parent: &'a Cgroup,
    maps: &'a [Map],
    maker: SocketMaker,
    open: Vec<OwnedFd>,
    pinned: Vec<Pinned>,
    findings: Findings,
}

impl Play<'_> {
    /// Makes a cgroup, fills it and removes it.
    fn one(&mut self, state: State, mover: &Sender<Pid>) -> Result<()> {
        let cgroup = Cgroup::create_in(self.parent.path())?;
        let directory = cgroup.open()?;
        for (i, map) in self.maps.iter().enumerate() {
            let owner = match i % 2 {
                0 => Owner::cgroup(&directory),
                _ => Owner::CgroupId(cgroup.id()),
            };
            if let Err(error) = map.update(owner, &cgroup.id().to_ne_bytes(), Mode::NoExist) {
                self.findings.problem(format!("{state:?}: {error}"));
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
        self.findings.add(state.figure(), 1);
        self.findings.add("cgroups", 1);
        Ok(())
    }
}

/// Moves processes back to the root of the hierarchy.
fn move_away(moves: &Receiver<Pid>) {
    for pid in moves {
        // One that cannot be moved keeps its cgroup from being removed, which
        // is noticed there.
        let _ = move_to(Path::new(MOUNT), pid);
    }
}

/// All cgroups but the pinned ones have to go by themselves; those keep their
/// values until their sockets are closed.
fn finish(pinned: Vec<Pinned>, maps: &[Map], findings: &mut Findings) -> Result<()> {
    let all_have = |elements: u64| {
        settle::until(|| {
            let counts = maps.iter().map(|map| Ok(map.info()?.elements));
            Ok(counts.collect::<device::Result<Vec<_>>>()? == vec![elements; maps.len()])
        })
    };
    let count = pinned.len() as u64;
    let settled = all_have(count)?;
    findings.expect("only the pinned cgroups have values", settled, true);
    for Pinned { id, directory, .. } in &pinned {
        match maps[0].get(Owner::cgroup(directory)) {
            Ok(elem) if elem.value[..8] == id.to_ne_bytes() => {}
            other => findings.problem(format!("a pinned cgroup: {other:?}")),
        }
        match maps[0].update(Owner::cgroup(directory), &[], Mode::Any) {
            Err(error) if error.errno() == Errno::ESRCH => {}
            other => findings.problem(format!("an update of a removed one: {other:?}")),
        }
    }
    let mut directories = Vec::new();
    for pinned in pinned {
        drop(pinned.socket);
        directories.push(pinned.directory);
    }
    let settled = all_have(0)?;
    findings.expect("no cgroup has values", settled, true);
    for directory in &directories {
        match maps[0].get(Owner::cgroup(directory)) {
            Err(error) if error.errno() == Errno::ESRCH => {}
            other => findings.problem(format!("a released cgroup: {other:?}, must be ESRCH")),
        }
    }
    for map in maps {
        let info = map.info()?;
        findings.expect(
            "values that went with a cgroup",
            info.owner_deaths,
            info.created,
        );
    }
    Ok(())
}

/// Removes a cgroup and all in it.
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
