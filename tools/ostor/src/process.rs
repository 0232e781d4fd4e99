// SPDX-License-Identifier: GPL-2.0
//! Child processes to be owners: started, killed and reaped on purpose.

use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;

use crate::sys::process::{self, Names};

/// A child process. Dropping it kills and reaps it.
#[derive(Debug)]
pub struct Child {
    pid: Pid,
    pidfd: OwnedFd,
    reaped: AtomicBool,
}

impl Child {
    /// Starts a process that runs `body` and exits with the status it returns.
    pub fn start(body: impl FnOnce() -> i32) -> nix::Result<Self> {
        Self::open(process::start(body)?)
    }

    /// Starts a process that holds no descriptor and waits to be killed.
    pub fn idle() -> nix::Result<Self> {
        Self::open(process::start_idle()?)
    }

    /// Starts a process that runs `body` with `fd` as its only descriptor.
    pub fn holding(fd: OwnedFd, body: impl FnOnce(OwnedFd) -> i32) -> nix::Result<Self> {
        Self::open(process::start_with(fd, body)?)
    }

    /// Starts a process that exits immediately.
    pub fn brief() -> nix::Result<Self> {
        Self::start(|| 0)
    }

    /// Starts a process that runs `body` with a link to this one.
    pub fn linked(body: impl FnOnce(&mut Link) -> i32) -> anyhow::Result<(Self, Link)> {
        let (ours, theirs) = UnixStream::pair()?;
        let child = Self::start(move || body(&mut Link::new(theirs)))?;
        Ok((child, Link::new(ours)))
    }

    fn open(pid: Pid) -> nix::Result<Self> {
        // The child is not reaped yet, so the number is still its own.
        let pidfd = process::pidfd_open(pid, Names::Process)?;
        Ok(Self {
            pid,
            pidfd,
            reaped: AtomicBool::new(false),
        })
    }

    /// The process id.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Sends SIGKILL. The process may still be exiting when this returns.
    pub fn kill(&self) -> nix::Result<()> {
        kill(self.pid, Signal::SIGKILL)
    }

    /// Whether the process has not exited yet.
    pub fn is_alive(&self) -> nix::Result<bool> {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT | WaitPidFlag::WNOHANG;
        Ok(waitid(Id::PIDFd(self.as_fd()), flags)? == WaitStatus::StillAlive)
    }

    /// Waits until the process has exited, and leaves it a zombie.
    pub fn wait_zombie(&self) -> nix::Result<()> {
        retry(|| {
            waitid(
                Id::PIDFd(self.as_fd()),
                WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT,
            )
        })
        .map(drop)
    }

    /// Waits until the process has exited, and reaps it.
    pub fn reap(&self) -> nix::Result<WaitStatus> {
        let status = retry(|| waitpid(self.pid, None))?;
        self.reaped.store(true, Ordering::Relaxed);
        Ok(status)
    }

    /// Kills and reaps the process.
    pub fn kill_and_reap(&self) -> nix::Result<()> {
        self.kill()?;
        self.reap().map(drop)
    }
}

impl AsFd for Child {
    /// The pidfd.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.reaped.load(Ordering::Relaxed) {
            let _ = self.kill_and_reap();
        }
    }
}

/// Repeats a system call while signals interrupt it.
fn retry<T>(mut call: impl FnMut() -> nix::Result<T>) -> nix::Result<T> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            result => return result,
        }
    }
}

/// One end of a connection that carries lines of text between a process and its child.
#[derive(Debug)]
pub struct Link {
    stream: BufReader<UnixStream>,
}

impl Link {
    /// The end that is `stream`.
    pub fn new(stream: UnixStream) -> Self {
        Self {
            stream: BufReader::new(stream),
        }
    }

    /// Sends a line.
    pub fn send(&mut self, line: &str) -> std::io::Result<()> {
        writeln!(self.stream.get_mut(), "{line}")
    }

    /// Waits for a line. Fails if the other end is closed.
    pub fn receive(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.get_ref().as_fd()
    }
}
