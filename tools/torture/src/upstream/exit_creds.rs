// SPDX-License-Identifier: GPL-2.0
//! `task_local_storage/exit_creds`: no storage is created for a dead task.

use anyhow::Result;

use super::row::{Row, Wanted};
use crate::stress::fork_reap;

/// Number of processes.
const PROCESSES: u64 = 1000;

const DIFFERS: &str = "upstream's program runs in exit_creds(), after the last reference to the \
                       task is gone; ours tries each of 1,000 processes while it exits, as a \
                       zombie, while it is reaped, and after that, when every try must fail";

pub(super) fn run() -> Result<Row> {
    let report = fork_reap::run(PROCESSES)?;
    let refused = report.figure(fork_reap::REFUSED);
    let created = report.figure(fork_reap::CREATED);
    Ok(Row::new(DIFFERS)
        .upstream("created for dead tasks", Wanted::Exactly(0), created)
        .upstream("refused for dead tasks", Wanted::Some, refused)
        .upstream("tries", Wanted::Some, created + refused)
        .with_problems(&report))
}
