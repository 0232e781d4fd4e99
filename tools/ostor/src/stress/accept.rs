// SPDX-License-Identifier: GPL-2.0
//! A listener accepts connections: each gets a copy of the listener's value in
//! a map that clones, and nothing in one that does not.

use std::net::{TcpListener, TcpStream};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt::Linger};
use ostor::device::{self, Map, Mode, Owner};
use ostor::settle;

use super::findings::Findings;
use crate::progress::Progress;

/// How many connections are open at once.
const BATCH: u64 = 200;

/// What the listener has.
const VALUE: &[u8; 16] = b"of the listener!";

/// Accepts `count` connections.
pub(crate) fn run(count: u64) -> Result<Findings> {
    let before = device::stats()?;
    let mut findings = Findings::default();
    let cloning = match Map::create_cloning(16) {
        Err(error) if error.errno() == Errno::EOPNOTSUPP => {
            findings.skip("accept", error);
            return Ok(findings);
        }
        map => map?,
    };
    let plain = Map::create(16)?;
    let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen on the loopback")?;
    for map in [&cloning, &plain] {
        map.update(Owner::socket(&listener), VALUE, Mode::NoExist)?;
    }

    let mut progress = Progress::new("connections", count);
    let mut done = 0;
    while done < count && !findings.is_hopeless() {
        let batch = BATCH.min(count - done);
        accept(&listener, batch, &cloning, &plain, &mut findings)?;
        done += batch;
        progress.at(done);
    }
    drop(progress);
    settle::until(|| Ok(cloning.info()?.elements == 1))?;
    let info = cloning.info()?;
    findings.add("connections", done);
    findings.add("clones", info.clones);
    findings.expect("clones", info.clones, done);
    findings.expect("clones that failed", info.clone_failures, 0);
    findings.expect("values when all are closed", info.elements, 1);
    findings.expect("values that went with a socket", info.owner_deaths, done);
    findings.expect("clones in the other map", plain.info()?.clones, 0);
    drop((cloning, plain, listener));
    findings.expect_nothing_left(&before)?;
    Ok(findings)
}

/// Accepts a batch of connections, looks each up, and closes them.
fn accept(
    listener: &TcpListener,
    batch: u64,
    cloning: &Map,
    plain: &Map,
    findings: &mut Findings,
) -> Result<()> {
    let address = listener.local_addr()?;
    let mut connections = Vec::new();
    for _ in 0..batch {
        let client = TcpStream::connect(address)?;
        let (server, _) = listener.accept()?;
        connections.push((client, server));
    }
    for (client, server) in &connections {
        match cloning.get(Owner::socket(server)) {
            Ok(elem) if elem.value == VALUE => findings.add("right copies", 1),
            other => findings.problem(format!("an accepted socket: {other:?}")),
        }
        for (whose, map, socket) in [
            ("an accepted socket in the other map", plain, server),
            ("a connecting socket", cloning, client),
        ] {
            match map.get(Owner::socket(socket)) {
                Err(error) if error.errno() == Errno::ENOENT => {}
                other => findings.problem(format!("{whose}: {other:?}, must be ENOENT")),
            }
        }
        [client, server].into_iter().try_for_each(reset_on_close)?;
    }
    let elements = cloning.info()?.elements;
    if elements <= batch {
        findings.problem(format!("{elements} values for {batch} connections"));
    }
    findings.expect("values in the other map", plain.info()?.elements, 1);
    Ok(())
}

/// Has the connection reset when it is closed, so that no port is kept in
/// TIME_WAIT.
pub(crate) fn reset_on_close(socket: &TcpStream) -> nix::Result<()> {
    let at_once = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    setsockopt(socket, Linger, &at_once)
}
