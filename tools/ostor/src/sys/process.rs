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

/// The exit status of a child that panicked, as Rust's own processes have it.
const PANICKED: i32 = 101;

/// Starts a process that runs `body`, exits with what it returns, and is killed
/// when the thread that started it ends.
///
/// While other threads run, `body` may only do what a signal handler may.
pub fn start(body: impl FnOnce() -> i32) -> Result<Pid> {
    // SAFETY: The child keeps to its copy of this process and leaves by
    // `_exit`.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            let _ = prctl::set_pdeathsig(Signal::SIGKILL);
            let status = catch_unwind(AssertUnwindSafe(body)).unwrap_or(PANICKED);
            // SAFETY: `_exit` has no precondition.
            unsafe { libc::_exit(status) }
        }
    }
}

/// Starts a process that holds no descriptor and waits to be killed.
pub fn start_idle() -> Result<Pid> {
    start(|| {
        // SAFETY: This process uses none of its descriptors any more.
        unsafe { libc::close_range(0, libc::c_uint::MAX, 0) };
        loop {
            pause();
        }
    })
}

/// Starts a process that holds no descriptor but `fd` and runs `body` with it.
pub fn start_with(fd: OwnedFd, body: impl FnOnce(OwnedFd) -> i32) -> Result<Pid> {
    start(move || {
        // SAFETY: This process uses none of its other descriptors any more.
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

/// What the number given to [`pidfd_open`] names.
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
    // SAFETY: The call returned a new descriptor, which nothing else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Duplicates a descriptor of the process that `pidfd` is of.
pub fn pidfd_getfd(pidfd: &impl AsFd, fd: RawFd) -> Result<OwnedFd> {
    let pidfd = pidfd.as_fd().as_raw_fd();
    // SAFETY: The call takes three numbers.
    let copy = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd, fd, 0) })?;
    // SAFETY: The call returned a new descriptor, which nothing else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(copy as RawFd) })
}

/// Takes over a descriptor that this process was started with.
pub fn inherited(fd: RawFd) -> Result<OwnedFd> {
    // SAFETY: `F_DUPFD_CLOEXEC` takes two numbers.
    let copy = Errno::result(unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 0) })?;
    // SAFETY: The call returned a new descriptor, which nothing else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}
