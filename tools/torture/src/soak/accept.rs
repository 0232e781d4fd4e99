// SPDX-License-Identifier: GPL-2.0
//! A listener whose accepted sockets get copies of its value, unless a lock or an
//! allocation fails.

use std::net::{TcpListener, TcpStream};

use anyhow::{Context, Result};
use nix::errno::Errno;
use ostor::device::{Map, Mode, Owner, Result as DeviceResult};

use crate::stress::accept::reset_on_close;
use crate::stress::worker::Injected;
use ostor::report::Report;

/// The listener's value.
const VALUE: &[u8; 16] = b"of the listener!";

/// The value that an accepted socket gets in another map.
const OWN: &[u8; 16] = b"of the accepted!";

/// A listener with a value.
pub(super) struct Accepting {
    map: Map,
    /// The map in which accepted sockets get values of their own.
    own: Map,
    listener: TcpListener,
}

impl Accepting {
    /// Creates the listener, before faults are injected.
    pub(super) fn new() -> Result<Self> {
        let map = Map::create_cloning(VALUE.len() as u32)?;
        let own = Map::create(OWN.len() as u32)?;
        let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen on the loopback")?;
        map.update(Owner::socket(&listener), VALUE, Mode::NoExist)?;
        Ok(Self { map, own, listener })
    }

    /// Accepts a connection, looks up the copy, stores another value beside it, and closes
    /// both ends.
    pub(super) fn one(&self, injected: Injected, report: &mut Report) -> Result<()> {
        let client = TcpStream::connect(self.listener.local_addr()?)?;
        let (server, _) = self.listener.accept()?;
        [&client, &server]
            .into_iter()
            .try_for_each(reset_on_close)?;
        let may_fail = injected.locks || injected.allocs;
        match self.map.get(Owner::socket(&server)) {
            Ok(elem) if elem.value == VALUE => {
                report.add("accept: a copy", 1);
                self.store_beside(&server, injected, report);
            }
            Err(error) if may_fail && error.errno() == Errno::ENOENT => {
                report.add("accept: no copy", 1);
            }
            Err(error) if injected.explains(error.errno()) => {
                report.add("accept: copy not looked up", 1);
            }
            other => report.problem(format!("an accepted socket: {other:?}")),
        }
        Ok(())
    }

    /// Stores a second value for a socket, and checks that the copy stays.
    fn store_beside(&self, server: &TcpStream, injected: Injected, report: &mut Report) {
        match self.own.update(Owner::socket(server), OWN, Mode::NoExist) {
            Ok(_) => {}
            Err(error) if injected.explains(error.errno()) => {
                report.add("accept: no value beside the copy", 1);
                return;
            }
            other => report.problem(format!("a value beside a copy: {other:?}")),
        }
        match self.map.get(Owner::socket(server)) {
            Ok(elem) if elem.value == VALUE => {}
            Err(error) if injected.explains(error.errno()) => {}
            other => report.problem(format!("a copy beside a value: {other:?}")),
        }
    }

    /// Adds the counts of copies, after faults were injected.
    pub(super) fn finish(self, report: &mut Report) -> DeviceResult<()> {
        let info = self.map.info()?;
        report.add("clones", info.clones);
        report.add("clones that failed", info.clone_failures);
        match self.map.get(Owner::socket(&self.listener)) {
            Ok(elem) if elem.value == VALUE => {}
            other => report.problem(format!("the listener: {other:?}")),
        }
        Ok(())
    }
}
