// SPDX-License-Identifier: GPL-2.0
//! A map is closed while all of its owners, thousands of sockets, are closed.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use ostor::device::{self, Map, Mode, Owner};
use ostor::object::tcp_socket;

use super::descriptors;
use super::findings::Findings;
use crate::progress::Progress;

/// How many threads there are.
pub(crate) const THREADS: usize = 4;

/// The figure of how often a map was closed.
pub(crate) const ROUNDS: &str = "maps closed under their sockets";

/// The figure of how many values were stored.
pub(crate) const STORED: &str = "values of sockets";

/// Repeats it for so many seconds at the least, with `count` sockets of each
/// thread.
pub(crate) fn run(seconds: u64, count: u64) -> Result<Findings> {
    descriptors::allow(THREADS as u64 * count)?;
    let before = device::stats()?;
    let start = Instant::now();
    let mut findings = Findings::default();
    let mut progress = Progress::new("seconds", seconds);
    while start.elapsed() < Duration::from_secs(seconds) && !findings.is_hopeless() {
        findings.merge(round(count)?);
        progress.at(start.elapsed().as_secs());
    }
    drop(progress);
    findings.expect_nothing_left(&before)?;
    Ok(findings)
}

/// Fills a map, and closes it and all sockets at once.
fn round(count: u64) -> Result<Findings> {
    let map = Arc::new(Map::create(64)?);
    let (full, closing) = (Barrier::new(THREADS + 1), Barrier::new(THREADS + 1));
    let mut findings = Findings::default();
    thread::scope(|scope| -> Result<()> {
        let threads = [(); THREADS].map(|()| {
            let (full, closing, map) = (&full, &closing, Arc::clone(&map));
            scope.spawn(move || {
                let mut findings = Findings::default();
                let sockets = fill(&map, count, &mut findings);
                // The last user of the map is the one that closes it.
                drop(map);
                full.wait();
                closing.wait();
                drop(sockets);
                findings
            })
        });
        full.wait();
        let elements = map.info().map(|info| info.elements);
        closing.wait();
        drop(map);
        for thread in threads {
            findings.merge(thread.join().expect("the thread does not panic"));
        }
        findings.expect(
            "elements before the close",
            elements?,
            THREADS as u64 * count,
        );
        Ok(())
    })?;
    findings.add(ROUNDS, 1);
    Ok(findings)
}

/// Opens sockets and stores a value for each.
fn fill(map: &Map, count: u64, findings: &mut Findings) -> Vec<OwnedFd> {
    let mut sockets = Vec::new();
    for i in 0..count {
        match tcp_socket() {
            Ok(socket) => sockets.push(socket),
            Err(error) => findings.problem(format!("socket {i}: {error:#}")),
        }
    }
    for socket in &sockets {
        match map.update(Owner::socket(socket), b"of a socket", Mode::NoExist) {
            Ok(_) => findings.add(STORED, 1),
            Err(error) => findings.problem(error.to_string()),
        }
    }
    sockets
}
