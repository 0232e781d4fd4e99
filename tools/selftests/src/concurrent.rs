// SPDX-License-Identifier: GPL-2.0
//! Observing something while another thread changes it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::{Result, ensure};
use ostor::settle;

/// Fewest changes during an observation.
const CHANGES: u64 = 5;

/// Runs `look` at least `passes` times, and until there were enough changes, and returns the
/// results. The caller checks them: a panic inside `look` would leave the other thread
/// running.
pub(crate) fn look<T>(
    passes: u32,
    mut look: impl FnMut(u32) -> Result<T>,
    mut change: impl FnMut() -> Result<()> + Send,
) -> Result<Vec<T>> {
    let (stop, changes) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let changer = scope.spawn(|| -> Result<()> {
            while !stop.load(Ordering::Relaxed) {
                change()?;
                changes.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        });
        let start = Instant::now();
        let is_enough = || changes.load(Ordering::Relaxed) >= CHANGES;
        let mut pass = 0;
        let mut seen = Ok(Vec::new());
        while let Ok(all) = &mut seen {
            let is_done = is_enough() || changer.is_finished();
            if (pass >= passes && is_done) || start.elapsed() > settle::DEADLINE {
                break;
            }
            match look(pass) {
                Ok(one) => all.push(one),
                Err(error) => seen = Err(error),
            }
            pass += 1;
        }
        stop.store(true, Ordering::Relaxed);
        changer.join().expect("the changer does not panic")?;
        let seen = seen?;
        ensure!(is_enough(), "too few changes in {} looks", seen.len());
        Ok(seen)
    })
}
