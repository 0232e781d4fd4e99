// SPDX-License-Identifier: GPL-2.0
//! The object that a value is attached to.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use uapi::ostor_owner;

/// The object that a value is attached to.
#[derive(Clone, Copy, Debug)]
pub enum Owner<'fd> {
    /// The calling thread.
    Current,
    /// The task that a pidfd refers to.
    Task(BorrowedFd<'fd>),
    /// The cgroup, v1 or v2, of an open directory.
    CgroupFd(BorrowedFd<'fd>),
    /// The cgroup v2 with this id.
    CgroupId(u64),
    /// A socket.
    Socket(BorrowedFd<'fd>),
    /// The network namespace of an open `/proc/PID/ns/net`.
    Netns(BorrowedFd<'fd>),
}

impl<'fd> Owner<'fd> {
    /// The task that `pidfd` refers to.
    pub fn task(pidfd: &'fd impl AsFd) -> Self {
        Self::Task(pidfd.as_fd())
    }

    /// The cgroup of an open directory.
    pub fn cgroup(directory: &'fd impl AsFd) -> Self {
        Self::CgroupFd(directory.as_fd())
    }

    /// A socket.
    pub fn socket(socket: &'fd impl AsFd) -> Self {
        Self::Socket(socket.as_fd())
    }

    /// The network namespace of an open `/proc/PID/ns/net`.
    pub fn netns(file: &'fd impl AsFd) -> Self {
        Self::Netns(file.as_fd())
    }

    /// The owner as the device takes it.
    pub fn to_uapi(self) -> ostor_owner {
        let by_fd = |by, fd: BorrowedFd<'_>| ostor_owner {
            by,
            fd: fd.as_raw_fd(),
            id: 0,
        };
        match self {
            Self::Current => ostor_owner {
                by: uapi::OSTOR_BY_SELF,
                ..ostor_owner::default()
            },
            Self::Task(fd) => by_fd(uapi::OSTOR_BY_PIDFD, fd),
            Self::CgroupFd(fd) => by_fd(uapi::OSTOR_BY_CGROUP_FD, fd),
            Self::CgroupId(id) => ostor_owner {
                by: uapi::OSTOR_BY_CGROUP_ID,
                fd: 0,
                id,
            },
            Self::Socket(fd) => by_fd(uapi::OSTOR_BY_SOCKET, fd),
            Self::Netns(fd) => by_fd(uapi::OSTOR_BY_NETNS, fd),
        }
    }
}
