// SPDX-License-Identifier: GPL-2.0
//! `stress_free` of `map_tests/sk_storage_map.c`: a map is closed while the sockets in it
//! are closed.

use anyhow::Result;

use super::row::{Row, Wanted};
use crate::stress::sockets;

/// Sockets of each of the four threads.
const SOCKETS: u64 = 4096;

const DIFFERS: &str = "the sockets are IPv4's; no stored value may be left";

pub(super) fn run(seconds: u64) -> Result<Row> {
    let report = sockets::run(seconds, SOCKETS)?;
    let rounds = report.figure(sockets::ROUNDS);
    let stored = report.figure(sockets::STORED);
    let wanted = rounds * sockets::THREADS as u64 * SOCKETS;
    Ok(Row::new(DIFFERS)
        .upstream("update errors", Wanted::Exactly(0), wanted - stored)
        .and("rounds of 4 x 4,096 sockets", Wanted::Some, rounds)
        .with_problems(&report))
}
