// SPDX-License-Identifier: GPL-2.0
//! `task_local_storage/exit_creds`: nothing is created for a task that is dead.

use anyhow::Result;

use super::row::{Row, Wanted};
use crate::stress::fork_reap;

/// How many processes die.
const PROCESSES: u64 = 1000;

const DIFFERS: &str = "upstream's program runs in exit_creds(), when nobody refers to the task any \
                       more; ours tries each of 1,000 processes while it exits, as a zombie, while \
                       it is reaped, and after that, when every try must fail";

pub(super) fn run() -> Result<Row> {
    let findings = fork_reap::run(PROCESSES)?;
    let refused = findings.figure(fork_reap::REFUSED);
    let created = findings.figure(fork_reap::CREATED);
    Ok(Row::new(DIFFERS)
        .upstream("created for the dead", Wanted::Exactly(0), created)
        .upstream("refused for the dead", Wanted::Some, refused)
        .upstream("tries", Wanted::Some, created + refused)
        .with_problems(&findings))
}
