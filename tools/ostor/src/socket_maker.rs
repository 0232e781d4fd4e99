// SPDX-License-Identifier: GPL-2.0
//! Sockets that are made inside a cgroup. A socket pins the cgroup that its
//! maker was in, for as long as it lives.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;

use anyhow::{Context, Result};

use crate::cgroup::{Cgroup, MOUNT, move_to};
use crate::process::Child;
use crate::sys::pass;

/// A process that makes sockets, wherever it is moved.
#[derive(Debug)]
pub struct SocketMaker {
    process: Child,
    line: UnixStream,
}

impl SocketMaker {
    /// Starts the process.
    pub fn start() -> Result<Self> {
        let (line, theirs) = UnixStream::pair()?;
        let process = Child::holding(theirs.into(), |line| i32::from(serve(line.into()).is_err()))?;
        Ok(Self { process, line })
    }

    /// A socket that was made inside a cgroup, which is empty again.
    pub fn socket_in(&mut self, cgroup: &Cgroup) -> Result<OwnedFd> {
        cgroup.add(self.process.pid())?;
        self.line.write_all(&[0])?;
        let socket = pass::receive(&self.line).context("the maker of sockets made none");
        move_to(Path::new(MOUNT), self.process.pid())?;
        socket
    }
}

/// Makes a socket whenever it is asked to.
fn serve(mut line: UnixStream) -> Result<()> {
    loop {
        line.read_exact(&mut [0])?;
        pass::send(&line, &UnixDatagram::unbound()?)?;
    }
}
