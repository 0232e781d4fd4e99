// SPDX-License-Identifier: GPL-2.0
//! Objects of every kind, to attach values to.

use std::os::fd::OwnedFd;

use anyhow::{Context, Result};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use crate::cgroup::Cgroup;
use crate::device::{Kind, Owner};
use crate::netns::Netns;
use crate::process::Child;
use crate::sys::socket::cookie;

/// An object without other references, which ends when this code ends it.
#[derive(Debug)]
pub enum Object {
    /// A process.
    Task(Child),
    /// An empty cgroup and its open directory.
    Cgroup(Cgroup, OwnedFd),
    /// A TCP socket.
    Socket(OwnedFd),
    /// A network namespace.
    Netns(Netns),
}

impl Object {
    /// Creates an object.
    pub fn new(kind: Kind) -> Result<Self> {
        Ok(match kind {
            Kind::Task => Self::Task(Child::idle()?),
            Kind::Cgroup => {
                let cgroup = Cgroup::create()?;
                let directory = cgroup.open()?;
                Self::Cgroup(cgroup, directory)
            }
            Kind::Socket => Self::Socket(tcp_socket()?),
            Kind::Netns => Self::Netns(Netns::new()?),
        })
    }

    /// Creates several objects.
    pub fn several(kind: Kind, count: usize) -> Result<Vec<Self>> {
        (0..count).map(|_| Self::new(kind)).collect()
    }

    /// The kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Task(_) => Kind::Task,
            Self::Cgroup(..) => Kind::Cgroup,
            Self::Socket(_) => Kind::Socket,
            Self::Netns(_) => Kind::Netns,
        }
    }

    /// The object as an owner.
    pub fn owner(&self) -> Owner<'_> {
        match self {
            Self::Task(process) => Owner::task(process),
            Self::Cgroup(_, directory) => Owner::cgroup(directory),
            Self::Socket(socket) => Owner::socket(socket),
            Self::Netns(netns) => Owner::netns(netns),
        }
    }

    /// The owner's id in a listing.
    pub fn id(&self) -> Result<u64> {
        Ok(match self {
            Self::Task(process) => process.pid().as_raw().unsigned_abs().into(),
            Self::Cgroup(cgroup, _) => cgroup.id(),
            Self::Socket(socket) => cookie(socket)?,
            Self::Netns(netns) => netns.cookie(),
        })
    }

    /// Ends the object: kills and reaps the process, removes the cgroup, closes the last
    /// descriptor. The module may be notified later.
    pub fn end(self) -> Result<()> {
        self.kill()
    }

    /// Ends a process or cgroup while other threads still use its descriptor. A socket or
    /// network namespace ends when this is dropped.
    pub fn kill(&self) -> Result<()> {
        match self {
            Self::Task(process) => process.kill_and_reap()?,
            Self::Cgroup(cgroup, _) => cgroup.remove()?,
            Self::Socket(_) | Self::Netns(_) => {}
        }
        Ok(())
    }
}

/// A TCP socket that is neither bound nor connected.
pub fn tcp_socket() -> Result<OwnedFd> {
    let (family, flags) = (AddressFamily::Inet, SockFlag::SOCK_CLOEXEC);
    socket(family, SockType::Stream, flags, None).context("cannot create a TCP socket")
}
