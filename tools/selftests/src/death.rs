// SPDX-License-Identifier: GPL-2.0
//! Storage ends with its owner, not earlier and not later, and without a command.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use nix::errno::Errno;
use nix::unistd::{Pid, gettid, pause};
use ostor::device::{self, Map, Mode, Owner};
use ostor::process::{Child, Link};
use ostor::settle;
use ostor::sys::process::{Names, pidfd_open};

use crate::harness::{assert_elements_become, assert_refused, new_map};

crate::suite![
    killed,
    exited,
    many_at_once,
    in_many_maps,
    a_zombie_keeps_it,
    a_zombie_can_be_given_it,
    exec_keeps_it,
    exec_of_another_thread_keeps_that_threads,
    exec_of_another_thread_changes_its_number,
    all_threads_die_with_the_process,
    fork_does_not_pass_it_on,
    a_new_process_never_finds_an_old_ones,
    the_dead_own_nothing,
];

/// First argument of this program that runs [`idle`].
pub(crate) const EXECED: &str = "idle-after-exec";

/// Waits to be killed.
pub(crate) fn idle() -> ! {
    loop {
        pause();
    }
}

/// Executes this program again in the calling process.
fn exec() -> std::io::Error {
    Command::new("/proc/self/exe").arg(EXECED).exec()
}

/// Waits until a process has executed this program.
fn wait_for_exec(pid: Pid) -> Result<()> {
    let execed = settle::until(|| {
        Ok(fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| {
            line.windows(EXECED.len())
                .any(|part| part == EXECED.as_bytes())
        }))
    })?;
    assert!(execed, "the process has not executed");
    Ok(())
}

/// Stores a value for a process, and checks the map's counts after `end`.
fn freed_by(end: impl FnOnce(&Child) -> Result<()>, child: &Child) -> Result<()> {
    let (map, before) = (new_map()?, device::stats()?);
    map.update(Owner::task(child), b"x", Mode::Any)?;
    end(child)?;
    assert_elements_become(&map, 0);
    let info = map.info()?;
    assert_eq!((info.owner_deaths, info.deleted), (1, 0));
    assert_eq!(device::stats()?.owner_deaths, before.owner_deaths + 1);
    Ok(())
}

fn killed() -> Result<()> {
    freed_by(|child| Ok(child.kill_and_reap()?), &Child::idle()?)
}

fn exited() -> Result<()> {
    let (child, mut link) = Child::linked(|link| i32::from(link.receive().is_err()))?;
    let end = |child: &Child| {
        link.send("exit")?;
        Ok(child.reap().map(drop)?)
    };
    freed_by(end, &child)
}

fn many_at_once() -> Result<()> {
    let map = new_map()?;
    let children = (0..100)
        .map(|_| Child::idle())
        .collect::<nix::Result<Vec<_>>>()?;
    for child in &children {
        map.update(Owner::task(child), &[], Mode::NoExist)?;
    }
    children.iter().try_for_each(Child::kill)?;
    children
        .iter()
        .try_for_each(|child| child.reap().map(drop))?;
    assert_elements_become(&map, 0);
    assert_eq!(map.info()?.owner_deaths, 100);
    Ok(())
}

fn in_many_maps() -> Result<()> {
    let (child, before) = (Child::idle()?, device::stats()?);
    let maps = (0..40).map(|_| new_map()).collect::<Result<Vec<_>, _>>()?;
    for map in &maps {
        map.update(Owner::task(&child), &[], Mode::NoExist)?;
    }
    assert_eq!(device::stats()?.storages, before.storages + 1);
    child.kill_and_reap()?;
    for map in &maps {
        assert_elements_become(map, 0);
        assert_eq!(map.info()?.owner_deaths, 1);
    }
    assert_eq!(device::stats()?.owner_deaths, before.owner_deaths + 1);
    Ok(())
}

fn a_zombie_keeps_it() -> Result<()> {
    let (map, child) = (new_map()?, Child::idle()?);
    map.update(Owner::task(&child), b"x", Mode::Any)?;
    child.kill()?;
    child.wait_zombie()?;
    thread::sleep(Duration::from_millis(100));
    assert_eq!(map.get(Owner::task(&child))?.value[..1], *b"x");
    map.update(Owner::task(&child), b"y", Mode::Exist)?;
    assert_eq!(map.info()?.owner_deaths, 0);
    child.reap()?;
    assert_elements_become(&map, 0);
    assert_eq!(map.info()?.owner_deaths, 1);
    Ok(())
}

fn a_zombie_can_be_given_it() -> Result<()> {
    let (map, child) = (new_map()?, Child::brief()?);
    child.wait_zombie()?;
    assert!(map.get_or_create(Owner::task(&child), b"x")?.created);
    child.reap()?;
    assert_elements_become(&map, 0);
    assert_eq!(map.info()?.owner_deaths, 1);
    Ok(())
}

fn exec_keeps_it() -> Result<()> {
    let map = new_map()?;
    let (child, mut link) = Child::linked(|link| {
        let _ = link.receive();
        exec();
        1
    })?;
    map.update(Owner::task(&child), b"x", Mode::Any)?;
    link.send("exec")?;
    wait_for_exec(child.pid())?;
    let found = map.get(Owner::task(&child))?;
    assert_eq!((&found.value[..1], found.seq), (&b"x"[..], 1));
    assert_eq!(map.info()?.owner_deaths, 0);
    Ok(())
}

/// A process whose second thread sends its id, and executes on request.
fn exec_in_a_thread(link: &mut Link) -> i32 {
    thread::scope(|scope| {
        scope.spawn(|| {
            let _ = link.send(&gettid().to_string());
            let _ = link.receive();
            exec();
        });
    });
    1
}

/// A process whose second thread has executed, and a pidfd of that thread from before the
/// exec. Both threads had an element in the map.
fn after_exec_of_another_thread(map: &Map) -> Result<(Child, OwnedFd)> {
    let (child, mut link) = Child::linked(exec_in_a_thread)?;
    let tid = Pid::from_raw(link.receive()?.parse()?);
    let thread = pidfd_open(tid, Names::Thread)?;
    map.update(Owner::task(&child), b"leader", Mode::Any)?;
    map.update(Owner::task(&thread), b"thread", Mode::Any)?;
    link.send("exec")?;
    wait_for_exec(child.pid())?;
    Ok((child, thread))
}

fn exec_of_another_thread_keeps_that_threads() -> Result<()> {
    let map = new_map()?;
    let (child, thread) = after_exec_of_another_thread(&map)?;
    // The thread continues with the id of the process; the first thread is dead.
    assert_elements_become(&map, 1);
    assert_eq!(map.info()?.owner_deaths, 1);
    assert_eq!(map.get(Owner::task(&child))?.value[..6], *b"thread");
    assert_refused(map.get(Owner::task(&thread)), Errno::ESRCH);
    Ok(())
}

fn exec_of_another_thread_changes_its_number() -> Result<()> {
    let map = new_map()?;
    let (child, _thread) = after_exec_of_another_thread(&map)?;
    assert_elements_become(&map, 1);
    assert_eq!(map.list()?[0].entry.owner_id, child.pid().as_raw() as u64);
    Ok(())
}

/// Stores a value for each of four threads, reports that, and waits.
fn store_for_threads(map: &Map, link: &mut Link) -> i32 {
    let store = || map.update(Owner::Current, b"thread", Mode::NoExist).is_ok();
    thread::scope(|scope| {
        let (sender, receiver) = channel();
        for _ in 0..3 {
            let sender = sender.clone();
            scope.spawn(move || {
                let _ = sender.send(store());
                idle();
            });
        }
        let stored = store() && receiver.iter().take(3).all(|stored| stored);
        let _ = link.send(if stored { "stored" } else { "failed" });
        idle()
    })
}

fn all_threads_die_with_the_process() -> Result<()> {
    let map = new_map()?;
    let (child, mut link) = Child::linked(|link| store_for_threads(&map, link))?;
    assert_eq!(link.receive()?, "stored");
    assert_eq!(map.info()?.elements, 4);
    child.kill_and_reap()?;
    assert_elements_become(&map, 0);
    assert_eq!(map.info()?.owner_deaths, 4);
    Ok(())
}

fn fork_does_not_pass_it_on() -> Result<()> {
    let map = new_map()?;
    map.update(Owner::Current, b"x", Mode::Any)?;
    let (child, mut link) = Child::linked(|link| {
        let found = map.get(Owner::Current).map_err(|error| error.errno());
        let _ = link.send(&format!("{:?}", found.map(|elem| elem.seq)));
        i32::from(link.receive().is_err())
    })?;
    assert_eq!(link.receive()?, "Err(ENOENT)");
    assert_refused(map.get(Owner::task(&child)), Errno::ENOENT);
    link.send("exit")?;
    child.reap()?;
    assert_eq!(map.get(Owner::Current)?.value[..1], *b"x");
    Ok(())
}

fn a_new_process_never_finds_an_old_ones() -> Result<()> {
    let map = new_map()?;
    for _ in 0..300 {
        let child = Child::idle()?;
        assert_refused(map.get(Owner::task(&child)), Errno::ENOENT);
        map.update(Owner::task(&child), b"x", Mode::NoExist)?;
        child.kill_and_reap()?;
    }
    assert_elements_become(&map, 0);
    assert_eq!(map.info()?.owner_deaths, 300);
    Ok(())
}

fn the_dead_own_nothing() -> Result<()> {
    let (map, child) = (new_map()?, Child::idle()?);
    map.update(Owner::task(&child), b"x", Mode::Any)?;
    child.kill_and_reap()?;
    for _ in 0..3 {
        assert_refused(map.get(Owner::task(&child)), Errno::ESRCH);
        assert_refused(map.get_or_create(Owner::task(&child), b"y"), Errno::ESRCH);
        assert_refused(
            map.update(Owner::task(&child), b"y", Mode::Any),
            Errno::ESRCH,
        );
        assert_refused(map.delete(Owner::task(&child)), Errno::ESRCH);
        assert_refused(map.take(Owner::task(&child)), Errno::ESRCH);
        assert_elements_become(&map, 0);
    }
    assert_eq!(map.info()?.created, 1);
    Ok(())
}
