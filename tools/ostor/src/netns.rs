// SPDX-License-Identifier: GPL-2.0
//! Network namespaces to be owners.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixDatagram;
use std::thread;

use anyhow::{Context, Result};
use nix::sched::{CloneFlags, unshare};

use crate::sys::socket;

/// An empty network namespace. It ends when this, the last reference, is dropped.
#[derive(Debug)]
pub struct Netns {
    file: File,
    cookie: u64,
}

impl Netns {
    /// Creates a network namespace.
    pub fn new() -> Result<Self> {
        // Each thread has a network namespace, so a new thread can enter a new one, open
        // it and end.
        let made = thread::spawn(|| -> Result<Self> {
            unshare(CloneFlags::CLONE_NEWNET).context("cannot create a network namespace")?;
            current()
        });
        made.join().expect("the thread does not panic")
    }

    /// The cookie.
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
