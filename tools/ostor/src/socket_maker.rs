// SPDX-License-Identifier: GPL-2.0
//! Sockets that are created inside a cgroup. A socket pins the cgroup of the process that
//! created it, as long as it lives.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;

use anyhow::{Context, Result};

use crate::cgroup::{Cgroup, MOUNT, move_to};
use crate::process::Child;
use crate::sys::pass;

/// A process that creates sockets in the cgroup to which it is moved.
#[derive(Debug)]
pub struct SocketMaker {
    process: Child,
    link: UnixStream,
}

impl SocketMaker {
    /// Starts the process.
    pub fn start() -> Result<Self> {
        let (link, theirs) = UnixStream::pair()?;
        let process = Child::holding(theirs.into(), |link| i32::from(serve(link.into()).is_err()))?;
        Ok(Self { process, link })
    }

    /// Creates a socket inside a cgroup, which is empty afterwards.
    pub fn socket_in(&mut self, cgroup: &Cgroup) -> Result<OwnedFd> {
        cgroup.add(self.process.pid())?;
        self.link.write_all(&[0])?;
        let socket = pass::receive(&self.link).context("the process created no socket");
        move_to(Path::new(MOUNT), self.process.pid())?;
        socket
    }
}

/// Creates a socket for each request.
fn serve(mut link: UnixStream) -> Result<()> {
    loop {
        link.read_exact(&mut [0])?;
        pass::send(&link, &UnixDatagram::unbound()?)?;
    }
}
