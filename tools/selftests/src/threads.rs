// SPDX-License-Identifier: GPL-2.0
//! Threads as owners, each with its own storage.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, Scope};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::unistd::{Pid, getpid, gettid};
use ostor::device::{Mode, Owner};
use ostor::settle;
use ostor::sys::process::{Names, pidfd_open};

use crate::harness::{assert_elements_become, assert_refused, new_map};
use crate::needs;

crate::suite![
    self_is_the_thread,
    a_process_is_its_first_thread,
    a_threads_end_frees_its_storage,
    listed_by_thread_id,
    threads_that_create_at_once_get_one_element,
    an_update_leaves_no_gap,
];

/// A thread that waits to be ended.
struct Waiting {
    tid: Pid,
    end: Sender<()>,
}

impl Waiting {
    fn start<'scope>(scope: &'scope Scope<'scope, '_>) -> Result<Self> {
        let (end, wait): (_, Receiver<()>) = channel();
        let (sender, receiver) = channel();
        scope.spawn(move || {
            let _ = sender.send(gettid());
            let _ = wait.recv();
        });
        Ok(Self {
            tid: receiver.recv().context("the thread ended")?,
            end,
        })
    }
}

fn self_is_the_thread() -> Result<()> {
    let map = new_map()?;
    map.update(Owner::Current, b"first", Mode::Any)?;
    thread::scope(|scope| {
        let other = scope.spawn(|| -> Result<()> {
            assert_refused(map.get(Owner::Current), Errno::ENOENT);
            map.update(Owner::Current, b"other", Mode::NoExist)?;
            assert_eq!(map.get(Owner::Current)?.value[..5], *b"other");
            Ok(())
        });
        other.join().expect("the thread does not panic")
    })?;
    assert_eq!(map.get(Owner::Current)?.value[..5], *b"first");
    assert_elements_become(&map, 1);
    Ok(())
}

fn a_process_is_its_first_thread() -> Result<()> {
    let map = new_map()?;
    assert_eq!(getpid(), gettid(), "tests run in the first thread");
    map.update(Owner::Current, b"x", Mode::Any)?;
    for names in [Names::Process, Names::Thread] {
        let pidfd = pidfd_open(getpid(), names)?;
        assert_eq!(map.get(Owner::task(&pidfd))?.seq, 1);
        thread::scope(|scope| {
            let other = scope.spawn(|| map.get(Owner::task(&pidfd)));
            other.join().expect("the thread does not panic")
        })?;
    }
    Ok(())
}

fn a_threads_end_frees_its_storage() -> Result<()> {
    let map = new_map()?;
    let pidfd = thread::scope(|scope| -> Result<_> {
        let waiting = Waiting::start(scope)?;
        let pidfd = pidfd_open(waiting.tid, Names::Thread)?;
        map.update(Owner::task(&pidfd), b"x", Mode::Any)?;
        map.update(Owner::Current, b"y", Mode::Any)?;
        assert_eq!(map.info()?.elements, 2);
        drop(waiting.end);
        Ok(pidfd)
    })?;
    assert_elements_become(&map, 1);
    assert_eq!(map.info()?.owner_deaths, 1);
    assert_refused(
        map.update(Owner::task(&pidfd), b"z", Mode::Any),
        Errno::ESRCH,
    );
    assert_eq!(map.get(Owner::Current)?.value[..1], *b"y");
    Ok(())
}

fn listed_by_thread_id() -> Result<()> {
    let map = new_map()?;
    thread::scope(|scope| -> Result<()> {
        let waiting = Waiting::start(scope)?;
        let pidfd = pidfd_open(waiting.tid, Names::Thread)?;
        map.update(Owner::task(&pidfd), b"x", Mode::Any)?;
        assert_eq!(map.list()?[0].entry.owner_id, waiting.tid.as_raw() as u64);
        Ok(())
    })?;
    let gone = settle::until(|| Ok(map.list()?.is_empty()))?;
    assert!(gone, "a thread that ended is still listed");
    Ok(())
}

/// A short run; `ostor-torture stress race-create` races 100,000 times.
fn threads_that_create_at_once_get_one_element() -> Result<()> {
    needs::two_cpus()?;
    let map = new_map()?;
    let pidfd = pidfd_open(getpid(), Names::Process)?;
    let barrier = Barrier::new(2);
    for _ in 0..500 {
        let create = || {
            barrier.wait();
            map.get_or_create(Owner::task(&pidfd), &gettid().as_raw().to_ne_bytes())
        };
        let (one, other) = thread::scope(|scope| {
            let other = scope.spawn(create);
            (create(), other.join().expect("the thread does not panic"))
        });
        let (one, other) = (one?, other?);
        assert_eq!((one.seq, &one.value), (other.seq, &other.value));
        assert!(
            one.created != other.created,
            "created by both or neither: {one:?}, {other:?}"
        );
        assert_eq!(map.info()?.elements, 1);
        map.delete(Owner::task(&pidfd))?;
    }
    Ok(())
}

/// A lookup during an update finds the old value or the new one.
fn an_update_leaves_no_gap() -> Result<()> {
    needs::two_cpus()?;
    let map = new_map()?;
    let pidfd = pidfd_open(getpid(), Names::Process)?;
    map.update(Owner::task(&pidfd), b"x", Mode::NoExist)?;
    let stop = AtomicBool::new(false);
    thread::scope(|scope| -> Result<()> {
        let updater = scope.spawn(|| -> Result<()> {
            while !stop.load(Ordering::Relaxed) {
                map.update(Owner::task(&pidfd), b"x", Mode::Exist)?;
            }
            Ok(())
        });
        let found: Result<Vec<_>, _> = (0..20_000)
            .map(|_| map.get(Owner::task(&pidfd)).map(|elem| elem.seq))
            .collect();
        stop.store(true, Ordering::Relaxed);
        updater.join().expect("the updater does not panic")?;
        assert!(found?.iter().all(|&seq| seq == 1));
        Ok(())
    })?;
    assert!(map.info()?.replaced > 100, "{:?}", map.info()?);
    Ok(())
}
