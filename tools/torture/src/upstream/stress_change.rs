// SPDX-License-Identifier: GPL-2.0
//! `stress_change` of `map_tests/sk_storage_map.c`: threads update and delete the value of
//! one socket.

use anyhow::Result;

use super::row::{Row, Wanted};
use crate::stress::socket_churn;

const DIFFERS: &str = "each of the four threads does both; an update must not fail with EAGAIN, \
                       which upstream accepts, and a delete only with ENOENT";

pub(super) fn run(seconds: u64) -> Result<Row> {
    let report = socket_churn::run(seconds)?;
    let errors = report.problems().len() as u64;
    Ok(Row::new(DIFFERS)
        .upstream("errors", Wanted::Exactly(0), errors)
        .and(
            "updates",
            Wanted::Some,
            report.figure(socket_churn::UPDATES),
        )
        .and(
            "deletes",
            Wanted::Some,
            report.figure(socket_churn::DELETES),
        )
        .with_problems(&report))
}
