// SPDX-License-Identifier: GPL-2.0
//! Ends a run that hangs: a lost object keeps the close of its map, and the thread that
//! would report it, waiting for ever.

use std::process;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use ostor::exit::Exit;
use ostor::output::Output;
use ostor::report::Report;
use ostor::settle;

use super::limit::Limit;

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(500);

/// Longest time from the limit to the end of the run: it waits twice for objects to be
/// freed.
const SPARE: Duration = settle::DEADLINE.saturating_mul(3);

/// Watches until it is dropped.
pub(super) struct Watchdog {
    _running: Sender<()>,
}

impl Watchdog {
    /// Ends the process if the run lasts much longer than `limit`.
    pub(super) fn new(limit: Arc<Limit>, output: Output) -> Self {
        let (running, ended) = mpsc::channel();
        thread::spawn(move || {
            let mut over = None;
            while ended.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                if !limit.is_over() {
                    continue;
                }
                let since = *over.get_or_insert_with(Instant::now);
                if since.elapsed() > SPARE {
                    let mut report = Report::default();
                    report.problem(format!("it hangs, {:?} after its end", since.elapsed()));
                    // The status is the same if it cannot be printed.
                    let _ = report.print("soak", &output);
                    process::exit(Exit::CheckFailed as i32);
                }
            }
        });
        Self { _running: running }
    }
}
