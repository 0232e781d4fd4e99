// SPDX-License-Identifier: GPL-2.0
//! A listener whose accepted sockets are born with copies of its value, or
//! without where a lock or an allocation fails.

use std::net::{TcpListener, TcpStream};

use anyhow::{Context, Result};
use nix::errno::Errno;
use ostor::device::{Map, Mode, Owner, Result as DeviceResult};

use crate::stress::accept::reset_on_close;
use crate::stress::findings::Findings;
use crate::stress::player::Injected;

/// What the listener has.
const VALUE: &[u8; 16] = b"of the listener!";

/// What an accepted socket gets besides.
const OWN: &[u8; 16] = b"of the accepted!";

/// A listener with a value.
pub(super) struct Accepting {
    map: Map,
    /// A map in which accepted sockets get values of their own.
    own: Map,
    listener: TcpListener,
}

impl Accepting {
    /// Makes one, while nothing fails yet.
    pub(super) fn new() -> Result<Self> {
        let map = Map::create_cloning(VALUE.len() as u32)?;
        let own = Map::create(OWN.len() as u32)?;
        let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen on the loopback")?;
        map.update(Owner::socket(&listener), VALUE, Mode::NoExist)?;
        Ok(Self { map, own, listener })
    }

    /// Accepts a connection, looks for the copy, stores another value beside it, and closes both
    /// ends.
    pub(super) fn one(&self, injected: Injected, findings: &mut Findings) -> Result<()> {
        let client = TcpStream::connect(self.listener.local_addr()?)?;
        let (server, _) = self.listener.accept()?;
        [&client, &server]
            .into_iter()
            .try_for_each(reset_on_close)?;
        let may_fail = injected.locks || injected.allocs;
        match self.map.get(Owner::socket(&server)) {
            Ok(elem) if elem.value == VALUE => {
                findings.add("accept: a copy", 1);
                self.store_beside(&server, injected, findings);
            }
            Err(error) if may_fail && error.errno() == Errno::ENOENT => {
                findings.add("accept: no copy", 1);
            }
            Err(error) if injected.explains(error.errno()) => {
                findings.add("accept: copy not looked up", 1);
            }
            other => findings.problem(format!("an accepted socket: {other:?}")),
        }
        Ok(())
    }

    /// Stores a value of its own for a socket with a copy, which must stay.
    fn store_beside(&self, server: &TcpStream, injected: Injected, findings: &mut Findings) {
        match self.own.update(Owner::socket(server), OWN, Mode::NoExist) {
            Ok(_) => {}
            Err(error) if injected.explains(error.errno()) => {
                findings.add("accept: no value beside the copy", 1);
                return;
            }
            other => findings.problem(format!("a value beside a copy: {other:?}")),
        }
        match self.map.get(Owner::socket(server)) {
            Ok(elem) if elem.value == VALUE => {}
            Err(error) if injected.explains(error.errno()) => {}
            other => findings.problem(format!("a copy beside a value: {other:?}")),
        }
    }

    /// Adds what became of the copies; nothing fails any more.
    pub(super) fn finish(self, findings: &mut Findings) -> DeviceResult<()> {
        let info = self.map.info()?;
        findings.add("clones", info.clones);
        findings.add("clones that failed", info.clone_failures);
        match self.map.get(Owner::socket(&self.listener)) {
            Ok(elem) if elem.value == VALUE => {}
            other => findings.problem(format!("the listener: {other:?}")),
        }
        Ok(())
    }
}
