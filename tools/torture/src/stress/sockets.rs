// SPDX-License-Identifier: GPL-2.0
//! A map is closed while thousands of sockets, which are its owners, are closed.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use ostor::device::{self, Map, Mode, Owner};
use ostor::object::tcp_socket;

use super::descriptors;
use ostor::progress::Progress;
use ostor::report::Report;

/// Number of threads.
pub(crate) const THREADS: usize = 4;

/// The figure of maps closed.
pub(crate) const ROUNDS: &str = "maps closed under their sockets";

/// The figure of values stored.
pub(crate) const STORED: &str = "values of sockets";

/// Runs rounds for at least `seconds`, with `count` sockets per thread.
pub(crate) fn run(seconds: u64, count: u64) -> Result<Report> {
    descriptors::allow(THREADS as u64 * count)?;
    let before = device::stats()?;
    let start = Instant::now();
    let mut report = Report::default();
    let mut progress = Progress::new("seconds", seconds);
    while start.elapsed() < Duration::from_secs(seconds) && !report.is_hopeless() {
        report.merge(round(count)?);
        progress.at(start.elapsed().as_secs());
    }
    drop(progress);
    report.expect_nothing_left(&before)?;
    Ok(report)
}

/// Fills a map, and closes it and all sockets at the same time.
fn round(count: u64) -> Result<Report> {
    let map = Arc::new(Map::create(64)?);
    let (full, closing) = (Barrier::new(THREADS + 1), Barrier::new(THREADS + 1));
    let mut report = Report::default();
    thread::scope(|scope| -> Result<()> {
        let threads = [(); THREADS].map(|()| {
            let (full, closing, map) = (&full, &closing, Arc::clone(&map));
            scope.spawn(move || {
                let mut report = Report::default();
                let sockets = fill(&map, count, &mut report);
                // The last reference to the map closes it.
                drop(map);
                full.wait();
                closing.wait();
                drop(sockets);
                report
            })
        });
        full.wait();
        let elements = map.info().map(|info| info.elements);
        closing.wait();
        drop(map);
        for thread in threads {
            report.merge(thread.join().expect("the thread does not panic"));
        }
        report.expect(
            "elements before the close",
            elements?,
            THREADS as u64 * count,
        );
        Ok(())
    })?;
    report.add(ROUNDS, 1);
    Ok(report)
}

/// Opens sockets and stores a value for each.
fn fill(map: &Map, count: u64, report: &mut Report) -> Vec<OwnedFd> {
    let mut sockets = Vec::new();
    for i in 0..count {
        match tcp_socket() {
            Ok(socket) => sockets.push(socket),
            Err(error) => report.problem(format!("socket {i}: {error:#}")),
        }
    }
    for socket in &sockets {
        match map.update(Owner::socket(socket), b"of a socket", Mode::NoExist) {
            Ok(_) => report.add(STORED, 1),
            Err(error) => report.problem(error.to_string()),
        }
    }
    sockets
}
