// SPDX-License-Identifier: GPL-2.0
//! What the device promises about numbers and failed commands, with concurrent threads that
//! interfere; and the same for 32-bit callers.

use std::collections::HashSet;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Command, ExitCode};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::errno::Errno;
use nix::unistd::getpid;
use ostor::device::{self, Map, Mode, Owner};
use ostor::output::complain;
use ostor::process::Child;
use ostor::settle;
use ostor::sys::ioctl::{self, Buffer, ElemCommand};
use ostor::sys::page::Page;
use ostor::sys::process::{Names, pidfd_open};
use uapi::{ostor_elem, ostor_map_create};

use crate::harness::{VALUE_SIZE, new_map};
use crate::needs;

crate::suite![
    a_number_is_given_once,
    map_numbers_have_no_gap,
    a_take_that_fails_takes_nothing,
    a_create_that_fails_creates_nothing,
    a_take_returns_what_it_deletes,
    a_32_bit_caller,
];

/// Duration of races without another end.
const RACE: Duration = Duration::from_secs(3);

/// Two threads delete what a third one stores. An element that replaces none gets a new
/// number.
fn a_number_is_given_once() -> Result<()> {
    needs::two_cpus()?;
    let map = new_map()?;
    let pidfd = pidfd_open(getpid(), Names::Process)?;
    let stop = AtomicBool::new(false);
    thread::scope(|scope| -> Result<()> {
        let delete = || {
            while !stop.load(Ordering::Relaxed) {
                let _ = map.delete(Owner::task(&pidfd));
            }
        };
        scope.spawn(delete);
        scope.spawn(delete);
        let end = Instant::now() + RACE;
        let mut seen = HashSet::new();
        let update = || -> Result<()> {
            while Instant::now() < end {
                let stored = map.update(Owner::task(&pidfd), b"x", Mode::Any)?;
                if stored.created {
                    ensure!(
                        seen.insert(stored.seq),
                        "two elements have number {} of {}",
                        stored.seq,
                        seen.len()
                    );
                }
            }
            Ok(())
        };
        let updated = { update }();
        stop.store(true, Ordering::Relaxed);
        updated
    })?;
    let info = map.info()?;
    assert_eq!(
        info.created,
        info.elements + info.deleted + info.replaced,
        "{info:?}"
    );
    Ok(())
}

/// Threads create a map of the same file concurrently: one succeeds, and only that one uses
/// up a number.
fn map_numbers_have_no_gap() -> Result<()> {
    const THREADS: usize = 4;
    const ROUNDS: u64 = 2000;
    needs::two_cpus()?;
    let arg = ostor_map_create {
        value_size: VALUE_SIZE,
        ..ostor_map_create::default()
    };
    let before = new_map()?.info()?.id;
    for round in 1..=ROUNDS {
        let fd = OwnedFd::from(device::open()?);
        let barrier = Barrier::new(THREADS);
        let made = thread::scope(|scope| {
            let create = || {
                barrier.wait();
                ioctl::map_create(fd.as_fd(), arg)
            };
            let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(create)).collect();
            let results = threads.into_iter().map(|thread| thread.join());
            results
                .map(|result| result.expect("the thread does not panic"))
                .filter(|result| match result {
                    Ok(()) => true,
                    Err(errno) => {
                        assert_eq!(*errno, Errno::EBUSY);
                        false
                    }
                })
                .count()
        });
        assert_eq!(made, 1);
        let id = Map::from_fd(fd)?.info()?.id;
        assert_eq!(id, before + round, "a number was skipped");
    }
    Ok(())
}

/// Bytes of a value that takes long to copy.
const LARGE: u32 = 4000;

/// A command with its value in `page`.
fn at_page(map: &Map, command: ElemCommand, page: &Page) -> nix::Result<ostor_elem> {
    let mut arg = ostor_elem {
        owner: Owner::Current.to_uapi(),
        value_size: LARGE,
        ..ostor_elem::default()
    };
    ioctl::elem(map.as_fd(), command, &mut arg, Buffer::Page(page))?;
    Ok(arg)
}

/// Runs `body` while another thread repeatedly makes a page read-only and writable.
fn with_flickering_page(body: impl FnOnce(&Page) -> Result<()>) -> Result<()> {
    needs::two_cpus()?;
    let page = Page::new()?;
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let flicker = scope.spawn(|| -> nix::Result<()> {
            while !stop.load(Ordering::Relaxed) {
                for (writable, spins) in [(false, 200), (true, 600)] {
                    page.set_writable(writable)?;
                    (0..spins).for_each(|_| std::hint::spin_loop());
                }
            }
            Ok(())
        });
        let result = body(&page);
        stop.store(true, Ordering::Relaxed);
        flicker.join().expect("the thread does not panic")?;
        result
    })
}

fn a_take_that_fails_takes_nothing() -> Result<()> {
    with_flickering_page(|page| {
        let map = Map::create(LARGE)?;
        let end = Instant::now() + RACE;
        let (mut taken, mut failed) = (0, 0);
        while Instant::now() < end {
            let stored = map.update(Owner::Current, b"x", Mode::Any)?;
            match at_page(&map, ElemCommand::Take, page) {
                Ok(arg) => {
                    taken += 1;
                    ensure!(arg.seq == stored.seq, "another number was returned");
                }
                Err(errno) => {
                    failed += 1;
                    ensure!(errno == Errno::EFAULT, "failed with {errno:?}");
                    let left = map.get(Owner::Current);
                    ensure!(left.is_ok(), "EFAULT, and the element is gone: {left:?}");
                }
            }
        }
        ensure!(taken > 0 && failed > 0, "{taken} taken, {failed} failed");
        Ok(())
    })
}

fn a_create_that_fails_creates_nothing() -> Result<()> {
    with_flickering_page(|page| {
        let map = Map::create(LARGE)?;
        let end = Instant::now() + RACE;
        let (mut created, mut failed) = (0, 0);
        while Instant::now() < end {
            match at_page(&map, ElemCommand::GetOrCreate, page) {
                Ok(_) => {
                    created += 1;
                    map.delete(Owner::Current)?;
                }
                Err(errno) => {
                    failed += 1;
                    ensure!(errno == Errno::EFAULT, "failed with {errno:?}");
                    let found = map.get(Owner::Current).map(|elem| elem.seq);
                    ensure!(found.is_err(), "EFAULT, and created: {found:?}");
                }
            }
        }
        ensure!(
            created > 0 && failed > 0,
            "{created} created, {failed} failed"
        );
        Ok(())
    })
}

/// If a concurrent update replaces the element, a take takes the new one: each take that
/// succeeds deletes one element.
fn a_take_returns_what_it_deletes() -> Result<()> {
    needs::two_cpus()?;
    let map = new_map()?;
    let pidfd = pidfd_open(getpid(), Names::Process)?;
    let stop = AtomicBool::new(false);
    let taken = thread::scope(|scope| -> Result<u64> {
        let update = scope.spawn(|| -> device::Result<()> {
            while !stop.load(Ordering::Relaxed) {
                map.update(Owner::task(&pidfd), b"x", Mode::Any)?;
            }
            Ok(())
        });
        let end = Instant::now() + RACE;
        let mut taken = 0;
        let mut take = || -> Result<()> {
            while Instant::now() < end {
                match map.take(Owner::task(&pidfd)) {
                    Ok(elem) => {
                        taken += 1;
                        ensure!(elem.value[..1] == *b"x", "not what was stored: {elem:?}");
                    }
                    Err(error) => ensure!(error.errno() == Errno::ENOENT, "{error}"),
                }
            }
            Ok(())
        };
        let result = take();
        stop.store(true, Ordering::Relaxed);
        update.join().expect("the thread does not panic")?;
        result.map(|()| taken)
    })?;
    let info = map.info()?;
    assert_eq!(info.deleted, taken, "{info:?}");
    Ok(())
}

/// A 32-bit program calls every command. It prints a line for each check, and their number
/// at the end.
fn a_32_bit_caller() -> Result<()> {
    if !cfg!(target_arch = "x86_64") {
        return needs::unable("there is no 32-bit program for this architecture");
    }
    needs::cloning_map()?;
    let output = match Command::new("ostor-compat32").output() {
        Err(error) if error.raw_os_error() == Some(Errno::ENOEXEC as i32) => {
            return needs::unable("this kernel runs no 32-bit programs");
        }
        output => output.context("cannot run ostor-compat32")?,
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let (passed, others): (Vec<_>, Vec<_>) = text.lines().partition(|line| line.starts_with("ok "));
    let plan = format!("1..{}", passed.len());
    ensure!(
        output.status.success() && !passed.is_empty() && others.last() == Some(&plan.as_str()),
        "ostor-compat32: {}, {} checks passed, and:\n{}\n{}",
        output.status,
        passed.len(),
        others.join("\n"),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// First argument of this program that runs [`force_unload`].
pub(crate) const FORCE_UNLOAD: &str = "force-unload";

/// `rmmod -f` waits for a process that holds a map, and owners' deaths are still noticed
/// meanwhile. Runs alone, since no module is left.
pub(crate) fn force_unload() -> ExitCode {
    match unload_by_force() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Whether the kernel lists the module as being unloaded.
fn is_unloading() -> bool {
    let modules = fs::read_to_string("/proc/modules").unwrap_or_default();
    let mut lines = modules.lines();
    lines.any(|line| line.starts_with("owner_storage ") && line.contains("Unloading"))
}

fn unload_by_force() -> Result<()> {
    let map = new_map()?;
    let (socket, peer) = UnixStream::pair()?;
    let child = Child::idle()?;
    map.update(Owner::Current, b"own", Mode::NoExist)?;
    map.update(Owner::socket(&socket), b"socket", Mode::NoExist)?;
    map.update(Owner::task(&child), b"child", Mode::NoExist)?;

    let mut rmmod = Command::new("rmmod")
        .args(["-f", "owner_storage"])
        .spawn()?;
    let begun = settle::until(|| Ok(is_unloading()))?;
    ensure!(begun, "rmmod -f does not begin");
    thread::sleep(Duration::from_secs(1));
    if let Some(status) = rmmod.try_wait()? {
        bail!("rmmod -f does not wait for the map: {status}");
    }
    ensure!(map.get(Owner::Current)?.value[..3] == *b"own");
    ensure!(map.info()?.elements == 3);
    ensure!(device::open().is_err(), "the device can still be opened");

    drop((socket, peer));
    child.kill_and_reap()?;
    let noticed = settle::until(|| Ok(map.info()?.elements == 1))?;
    ensure!(
        noticed,
        "deaths are not noticed any more: {:?}",
        map.info()?
    );
    ensure!(map.info()?.owner_deaths == 2);

    drop(map);
    let status = rmmod.wait()?;
    ensure!(status.success(), "rmmod -f: {status}");
    ensure!(!fs::read_to_string("/proc/modules")?.contains("owner_storage"));
    Ok(())
}
