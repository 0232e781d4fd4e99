// SPDX-License-Identifier: GPL-2.0
//! A listener accepts connections: each accepted socket gets a copy of the listener's
//! value in a map that clones, and no value in another map.

use std::net::{TcpListener, TcpStream};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt::Linger};
use ostor::device::{self, Map, Mode, Owner};
use ostor::settle;

use ostor::progress::Progress;
use ostor::report::Report;

/// Number of connections that are open at a time.
const BATCH: u64 = 200;

/// The listener's value.
const VALUE: &[u8; 16] = b"of the listener!";

/// Accepts `count` connections.
pub(crate) fn run(count: u64) -> Result<Report> {
    let before = device::stats()?;
    let mut report = Report::default();
    let cloning = match Map::create_cloning(16) {
        Err(error) if error.errno() == Errno::EOPNOTSUPP => {
            report.skip("accept", error);
            return Ok(report);
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
    while done < count && !report.is_hopeless() {
        let batch = BATCH.min(count - done);
        accept(&listener, batch, &cloning, &plain, &mut report)?;
        done += batch;
        progress.at(done);
    }
    drop(progress);
    settle::until(|| Ok(cloning.info()?.elements == 1))?;
    let info = cloning.info()?;
    report.add("connections", done);
    report.add("clones", info.clones);
    report.expect("clones", info.clones, done);
    report.expect("clones that failed", info.clone_failures, 0);
    report.expect("values after all connections are closed", info.elements, 1);
    report.expect("values that ended with a socket", info.owner_deaths, done);
    report.expect("clones in the other map", plain.info()?.clones, 0);
    drop((cloning, plain, listener));
    report.expect_nothing_left(&before)?;
    Ok(report)
}

/// Accepts a batch of connections, looks up the values of their sockets, and closes them.
fn accept(
    listener: &TcpListener,
    batch: u64,
    cloning: &Map,
    plain: &Map,
    report: &mut Report,
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
            Ok(elem) if elem.value == VALUE => report.add("right copies", 1),
            other => report.problem(format!("an accepted socket: {other:?}")),
        }
        for (what, map, socket) in [
            ("an accepted socket in the other map", plain, server),
            ("a connecting socket", cloning, client),
        ] {
            match map.get(Owner::socket(socket)) {
                Err(error) if error.errno() == Errno::ENOENT => {}
                other => report.problem(format!("{what}: {other:?}, must be ENOENT")),
            }
        }
        [client, server].into_iter().try_for_each(reset_on_close)?;
    }
    let elements = cloning.info()?.elements;
    if elements <= batch {
        report.problem(format!("{elements} values for {batch} connections"));
    }
    report.expect("values in the other map", plain.info()?.elements, 1);
    Ok(())
}

/// Lets close() reset the connection, so that no port stays in TIME_WAIT.
pub(crate) fn reset_on_close(socket: &TcpStream) -> nix::Result<()> {
    let at_once = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    setsockopt(socket, Linger, &at_once)
}
