// SPDX-License-Identifier: GPL-2.0
//! Ends a torture that hangs: a lost object keeps the close of its map for ever,
//! and with it whoever would have told.

use std::process;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use ostor::settle;

use super::limit::Limit;
use crate::exit::Exit;

/// How often it looks.
const LOOK: Duration = Duration::from_millis(500);

/// How long the end of a run may take: two waits for what must go, and some more.
const SPARE: Duration = settle::DEADLINE.saturating_mul(3);

/// It watches until it is dropped.
pub(super) struct Watchdog {
    _running: Sender<()>,
}

impl Watchdog {
    /// Ends the process if the run goes on for much longer than `limit` says.
    pub(super) fn new(limit: Arc<Limit>) -> Self {
        let (running, ended) = mpsc::channel();
        thread::spawn(move || {
            let mut over = None;
            while ended.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                if !limit.is_over() {
                    continue;
                }
                let since = *over.get_or_insert_with(Instant::now);
                if since.elapsed() > SPARE {
                    println!("WRONG: it hangs, {:?} after its end", since.elapsed());
                    process::exit(Exit::CheckFailed as i32);
                }
            }
        });
        Self { _running: running }
    }
}
