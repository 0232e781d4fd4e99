// SPDX-License-Identifier: GPL-2.0
//! The steps of the demo on sockets alone: the charge to their option memory, and the
//! copies that accepted sockets get.

use std::net::{TcpListener, TcpStream};

use anyhow::{Context, Result};
use nix::errno::Errno;
use ostor::device::{self, Kind, Map, Mode, Owner};
use ostor::object::tcp_socket;
use ostor::settle;
use ostor::sys::socket::option_memory;
use uapi::ostor_stats;

use super::report::DemoReport;

/// Number of maps in which the charged socket has a value.
const MAPS: usize = 4;

/// Number of accepted connections.
const CONNECTIONS: usize = 16;

/// The listener's value.
const VALUE: &[u8; 16] = b"of the listener!";

/// The option memory of a socket rises with each value and falls when it is deleted.
pub(super) fn charge(before: &ostor_stats, report: &mut DemoReport<'_>) -> Result<()> {
    if !Kind::Socket.is_served(before) {
        return report.skip(
            "charge a socket for its values",
            Kind::Socket.why_not_served(),
        );
    }
    let maps = [(); MAPS].map(|()| Map::create(64));
    let maps = maps.into_iter().collect::<device::Result<Vec<_>>>()?;
    let socket = tcp_socket()?;
    let mut charges = vec![option_memory(&socket)?];
    for map in &maps {
        map.update(Owner::socket(&socket), b"charged", Mode::NoExist)?;
        charges.push(option_memory(&socket)?);
    }
    let counted = device::stats()?.charged;
    for map in &maps {
        map.delete(Owner::socket(&socket))?;
    }
    let at_last = option_memory(&socket)?;
    let rising = charges.windows(2).all(|pair| pair[0] < pair[1]);
    let most = charges[MAPS];
    report.step(
        format!("option memory of a socket with 0 to {MAPS} values, and 0 again"),
        format!("{charges:?}, {at_last} bytes"),
        rising && charges[0] == 0 && at_last == 0,
    )?;
    report.step(
        "the same in the module's statistics",
        format!("{counted} bytes"),
        counted == most,
    )?;

    for map in &maps {
        map.update(Owner::socket(&socket), b"charged", Mode::NoExist)?;
    }
    drop(socket);
    settle::until(|| Ok(device::stats()?.charged == 0))?;
    let after = device::stats()?;
    report.step(
        format!("close a socket with {MAPS} values"),
        format!(
            "{} bytes charged, {} left in the socket",
            after.charged, after.omem_left
        ),
        after.charged == 0 && after.omem_left == before.omem_left,
    )
}

/// Accepted sockets get copies of the listener's value, but only in the map that clones.
pub(super) fn copies(before: &ostor_stats, report: &mut DemoReport<'_>) -> Result<()> {
    let tried = format!("accept {CONNECTIONS} connections of a listener with a value in two maps");
    if !Kind::Socket.is_served(before) {
        return report.skip(tried, Kind::Socket.why_not_served());
    }
    let cloning = match Map::create_cloning(16) {
        Err(error) if error.errno() == Errno::EOPNOTSUPP => {
            return report.skip(tried, error.to_string());
        }
        map => map?,
    };
    let plain = Map::create(16)?;
    let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen on the loopback")?;
    for map in [&cloning, &plain] {
        map.update(Owner::socket(&listener), VALUE, Mode::NoExist)?;
    }
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        let client = TcpStream::connect(listener.local_addr()?)?;
        connections.push((client, listener.accept()?.0));
    }
    let copies_in = |map: &Map| -> Result<usize> {
        let mut copies = 0;
        for (_, socket) in &connections {
            match map.get(Owner::socket(socket)) {
                Ok(elem) => copies += usize::from(elem.value == VALUE),
                Err(error) if error.errno() == Errno::ENOENT => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(copies)
    };
    let (in_cloning, in_plain) = (copies_in(&cloning)?, copies_in(&plain)?);
    report.step(
        tried,
        format!("{in_cloning} copies in the map with --clone, {in_plain} in the other"),
        in_cloning == CONNECTIONS && in_plain == 0,
    )?;

    let child = &connections[0].1;
    cloning.update(Owner::socket(child), b"of its own", Mode::Exist)?;
    let listeners = cloning.get(Owner::socket(&listener))?.value;
    report.step(
        "update a copy",
        format!(
            "the listener's is {:?}",
            String::from_utf8_lossy(&listeners)
        ),
        listeners == VALUE,
    )?;

    drop(connections);
    settle::until(|| Ok(cloning.info()?.elements == 1))?;
    let info = cloning.info()?;
    report.step(
        "close the connections",
        format!(
            "{} copies gone, {} value left",
            info.owner_deaths, info.elements
        ),
        info.elements == 1 && info.owner_deaths == CONNECTIONS as u64,
    )
}
