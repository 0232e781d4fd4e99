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

use super::findings::Findings;
use super::random::Random;
use crate::progress::Progress;

const THREADS: u64 = 4;

/// The figure of how many updates there were.
pub(crate) const UPDATES: &str = "updates of one socket";

/// The figure of how many deletes found something.
pub(crate) const DELETES: &str = "deletes of one socket";

/// Goes on for so many seconds.
pub(crate) fn run(seconds: u64) -> Result<Findings> {
    let before = device::stats()?;
    let socket = UnixDatagram::unbound()?;
    let map = Map::create(64)?;
    let start = Instant::now();
    let end = start + Duration::from_secs(seconds);
    let all = Mutex::new(Findings::default());
    thread::scope(|scope| {
        for stream in 0..THREADS {
            let (map, socket, all) = (&map, &socket, &all);
            scope.spawn(move || {
                let findings = churn(map, socket, end, Random::new(1, stream));
                all.lock().expect("no thread panicked").merge(findings);
            });
        }
        let mut progress = Progress::new("seconds", seconds);
        while Instant::now() < end {
            thread::sleep(Duration::from_millis(100));
            progress.at(start.elapsed().as_secs());
        }
    });

    let mut findings = all.into_inner().expect("no thread panicked");
    match map.delete(Owner::socket(&socket)) {
        Ok(()) => findings.add(DELETES, 1),
        Err(error) if error.errno() == Errno::ENOENT => {}
        Err(error) => findings.problem(format!("the last delete: {error}")),
    }
    findings.expect("elements in the map", map.info()?.elements, 0);
    let charged = option_memory(&socket)?;
    findings.expect("the socket's option memory", charged, 0);
    drop((map, socket));
    findings.expect_nothing_left(&before)?;
    Ok(findings)
}

/// One thread: only a delete may find that nothing is there.
fn churn(map: &Map, socket: &UnixDatagram, end: Instant, mut random: Random) -> Findings {
    let owner = Owner::socket(socket);
    let mut findings = Findings::default();
    while Instant::now() < end && !findings.is_hopeless() {
        if random.below(2) == 0 {
            match map.update(owner, b"churned", Mode::Any) {
                Ok(_) => findings.add(UPDATES, 1),
                Err(error) => {
                    // Whether the limit was reached, if it is ENOMEM.
                    let charged = option_memory(socket);
                    findings.problem(format!("an update, {charged:?} bytes charged: {error}"));
                }
            }
        } else {
            match map.delete(owner) {
                Ok(()) => findings.add(DELETES, 1),
                Err(error) if error.errno() == Errno::ENOENT => {
                    findings.add("nothing to delete", 1)
                }
                Err(error) => findings.problem(format!("a delete: {error}")),
            }
        }
    }
    findings
}
