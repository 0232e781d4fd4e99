// SPDX-License-Identifier: GPL-2.0
//! Descriptors of numbers that are chosen, so that all threads can use, replace
//! and close them at any moment.

#![expect(unsafe_code, reason = "these descriptors are bare numbers")]

use std::os::fd::{AsFd, AsRawFd};

use nix::Result;
use nix::errno::Errno;

/// The first such number. The process never has so many descriptors otherwise.
pub(crate) const FIRST: i32 = 512;

/// Puts a copy of `fd` at a number, in the place of what was there.
pub(crate) fn put(number: i32, fd: &impl AsFd) -> Result<()> {
    assert!(number >= FIRST, "that number is somebody's");
    // SAFETY: Nobody owns the numbers from `FIRST` on.
    let result = unsafe { libc::dup3(fd.as_fd().as_raw_fd(), number, libc::O_CLOEXEC) };
    Errno::result(result).map(drop)
}

/// Copies what is at a number to another one.
pub(crate) fn copy(from: i32, to: i32) -> Result<()> {
    assert!(from >= FIRST && to >= FIRST, "that number is somebody's");
    // SAFETY: As above.
    Errno::result(unsafe { libc::dup3(from, to, libc::O_CLOEXEC) }).map(drop)
}

/// Closes a number, if it is open.
pub(crate) fn close(number: i32) {
    assert!(number >= FIRST, "that number is somebody's");
    // SAFETY: As above.
    unsafe { libc::close(number) };
}
