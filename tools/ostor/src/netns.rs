// SPDX-License-Identifier: GPL-2.0
//! Network namespaces that own storage.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixDatagram;
use std::thread;

use anyhow::{Context, Result};
use nix::sched::{CloneFlags, unshare};

use crate::sys::socket;

/// A network namespace in which nothing is. It ends when this, the last
/// reference, is dropped.
#[derive(Debug)]
pub struct Netns {
    file: File,
    cookie: u64,
}

impl Netns {
    /// Makes a new one.
    pub fn new() -> Result<Self> {
        // A thread can have a network namespace of its own, so one goes into a
        // new one, opens it and ends.
        let made = thread::spawn(|| -> Result<Self> {
            unshare(CloneFlags::CLONE_NEWNET).context("cannot make a network namespace")?;
            current()
        });
        made.join().expect("the thread does not panic")
    }

    /// Its cookie.
    pub fn cookie(&self) -> u64 {
        self.cookie
    }
}

/// The network namespace of the calling thread.
pub fn current() -> Result<Netns> {
    let file = File::open("/proc/thread-self/ns/net")?;
    let cookie = socket::netns_cookie(&UnixDatagram::unbound()?)?;
    Ok(Netns { file, cookie })
}

impl AsFd for Netns {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
