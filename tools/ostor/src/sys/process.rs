// SPDX-License-Identifier: GPL-2.0
//! Forking, and descriptors of tasks.

#![expect(unsafe_code, reason = "fork and the pidfd calls have no safe wrapper")]

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

use nix::Result;
use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{ForkResult, Pid, fork, pause};

/// Exit status of a child that panicked, the same as Rust's own.
const PANICKED: i32 = 101;

/// Starts a process that runs `body` and exits with the status it returns. The process is
/// killed when the thread that started it ends.
///
/// If this process has other threads, `body` may only call async-signal-safe functions.
pub fn start(body: impl FnOnce() -> i32) -> Result<Pid> {
    // SAFETY: The child runs `body`, which the caller keeps async-signal-safe where that is
    // needed, and ends with `_exit`.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            let _ = prctl::set_pdeathsig(Signal::SIGKILL);
            let status = catch_unwind(AssertUnwindSafe(body)).unwrap_or(PANICKED);
            // SAFETY: `_exit` has no requirement.
            unsafe { libc::_exit(status) }
        }
    }
}

/// Starts a process that holds no descriptor and waits to be killed.
pub fn start_idle() -> Result<Pid> {
    start(|| {
        // SAFETY: The process only waits, and uses no descriptor.
        unsafe { libc::close_range(0, libc::c_uint::MAX, 0) };
        loop {
            pause();
        }
    })
}

/// Starts a process that runs `body` with `fd` as its only descriptor.
pub fn start_with(fd: OwnedFd, body: impl FnOnce(OwnedFd) -> i32) -> Result<Pid> {
    start(move || {
        // SAFETY: The process uses no other descriptor than 0, of which `only` becomes the
        // one owner; `fd` is forgotten.
        let only = unsafe {
            if libc::dup2(fd.as_raw_fd(), 0) < 0 {
                return PANICKED;
            }
            libc::close_range(1, libc::c_uint::MAX, 0);
            std::mem::forget(fd);
            OwnedFd::from_raw_fd(0)
        };
        body(only)
    })
}

/// What the number that [`pidfd_open`] takes refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// A process.
    Process,
    /// A single thread.
    Thread,
}

/// Opens a descriptor of a process or thread.
pub fn pidfd_open(pid: Pid, names: Names) -> Result<OwnedFd> {
    let flags = match names {
        Names::Process => 0,
        Names::Thread => libc::PIDFD_THREAD,
    };
    // SAFETY: The call takes two numbers.
    let fd = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), flags) })?;
    // SAFETY: The call returned a new descriptor, which no other object owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Duplicates a descriptor of the process that `pidfd` is of.
pub fn pidfd_getfd(pidfd: &impl AsFd, fd: RawFd) -> Result<OwnedFd> {
    let pidfd = pidfd.as_fd().as_raw_fd();
    // SAFETY: The call takes three numbers.
    let copy = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd, fd, 0) })?;
    // SAFETY: The call returned a new descriptor, which no other object owns.
    Ok(unsafe { OwnedFd::from_raw_fd(copy as RawFd) })
}

/// A copy of a descriptor that this process was started with.
pub fn inherited(fd: RawFd) -> Result<OwnedFd> {
    // SAFETY: `F_DUPFD_CLOEXEC` takes two numbers.
    let copy = Errno::result(unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 0) })?;
    // SAFETY: The call returned a new descriptor, which no other object owns.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}
