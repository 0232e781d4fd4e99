// SPDX-License-Identifier: GPL-2.0
//! Descriptors with fixed numbers, which all threads use, replace and close at any moment.

#![expect(unsafe_code, reason = "these descriptors are bare numbers")]

use std::os::fd::{AsFd, AsRawFd};

use nix::Result;
use nix::errno::Errno;

/// The first such number. The process has fewer other descriptors.
pub(crate) const FIRST: i32 = 512;

/// Makes a number a copy of `fd`. Closes what was there.
pub(crate) fn put(number: i32, fd: &impl AsFd) -> Result<()> {
    assert!(number >= FIRST, "the number may be owned by an object");
    // SAFETY: No object owns a descriptor from `FIRST` on.
    let result = unsafe { libc::dup3(fd.as_fd().as_raw_fd(), number, libc::O_CLOEXEC) };
    Errno::result(result).map(drop)
}

/// Makes a number a copy of another one.
pub(crate) fn copy(from: i32, to: i32) -> Result<()> {
    assert!(
        from >= FIRST && to >= FIRST,
        "the number may be owned by an object"
    );
    // SAFETY: No object owns a descriptor from `FIRST` on.
    Errno::result(unsafe { libc::dup3(from, to, libc::O_CLOEXEC) }).map(drop)
}

/// Closes a number if it is open.
pub(crate) fn close(number: i32) {
    assert!(number >= FIRST, "the number may be owned by an object");
    // SAFETY: No object owns a descriptor from `FIRST` on.
    unsafe { libc::close(number) };
}
