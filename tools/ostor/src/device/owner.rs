// SPDX-License-Identifier: GPL-2.0
//! What a value is attached to.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use uapi::ostor_owner;

/// The object that a value is attached to.
#[derive(Clone, Copy, Debug)]
pub enum Owner<'fd> {
    /// The calling thread.
    Current,
    /// The task of a pidfd.
    Task(BorrowedFd<'fd>),
}

impl<'fd> Owner<'fd> {
    /// The task of `pidfd`.
    pub fn task(pidfd: &'fd impl AsFd) -> Self {
        Self::Task(pidfd.as_fd())
    }

    /// How the device is told.
    pub fn to_uapi(self) -> ostor_owner {
        match self {
            Self::Current => ostor_owner {
                by: uapi::OSTOR_BY_SELF,
                ..ostor_owner::default()
            },
            Self::Task(fd) => ostor_owner {
                by: uapi::OSTOR_BY_PIDFD,
                fd: fd.as_raw_fd(),
                id: 0,
            },
        }
    }
}
