// SPDX-License-Identifier: GPL-2.0
//! Several threads update and delete the value of one socket.

use std::os::unix::net::UnixDatagram;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use nix::errno::Errno;
use ostor::device::{self, Map, Mode, Owner};
use ostor::sys::socket::option_memory;

use ostor::progress::Progress;
use ostor::random::Random;
use ostor::report::Report;

const THREADS: u64 = 4;

/// The figure of updates.
pub(crate) const UPDATES: &str = "updates of one socket";

/// The figure of deletes that found a value.
pub(crate) const DELETES: &str = "deletes of one socket";

/// Runs for `seconds`.
pub(crate) fn run(seconds: u64) -> Result<Report> {
    let before = device::stats()?;
    let socket = UnixDatagram::unbound()?;
    let map = Map::create(64)?;
    let start = Instant::now();
    let end = start + Duration::from_secs(seconds);
    let all = Mutex::new(Report::default());
    thread::scope(|scope| {
        for stream in 0..THREADS {
            let (map, socket, all) = (&map, &socket, &all);
            scope.spawn(move || {
                let report = churn(map, socket, end, Random::new(1, stream));
                all.lock().expect("no thread panicked").merge(report);
            });
        }
        let mut progress = Progress::new("seconds", seconds);
        while Instant::now() < end {
            thread::sleep(Duration::from_millis(100));
            progress.at(start.elapsed().as_secs());
        }
    });

    let mut report = all.into_inner().expect("no thread panicked");
    match map.delete(Owner::socket(&socket)) {
        Ok(()) => report.add(DELETES, 1),
        Err(error) if error.errno() == Errno::ENOENT => {}
        Err(error) => report.problem(format!("the last delete: {error}")),
    }
    report.expect("elements in the map", map.info()?.elements, 0);
    let charged = option_memory(&socket)?;
    report.expect("the socket's option memory", charged, 0);
    drop((map, socket));
    report.expect_nothing_left(&before)?;
    Ok(report)
}

/// One thread. Only a delete may fail, with ENOENT.
fn churn(map: &Map, socket: &UnixDatagram, end: Instant, mut random: Random) -> Report {
    let owner = Owner::socket(socket);
    let mut report = Report::default();
    while Instant::now() < end && !report.is_hopeless() {
        if random.below(2) == 0 {
            match map.update(owner, b"churned", Mode::Any) {
                Ok(_) => report.add(UPDATES, 1),
                Err(error) => {
                    // Shows whether an ENOMEM came from the limit.
                    let charged = option_memory(socket);
                    report.problem(format!("an update, {charged:?} bytes charged: {error}"));
                }
            }
        } else {
            match map.delete(owner) {
                Ok(()) => report.add(DELETES, 1),
                Err(error) if error.errno() == Errno::ENOENT => {
                    report.add("deletes without a value", 1)
                }
                Err(error) => report.problem(format!("a delete: {error}")),
            }
        }
    }
    report
}
