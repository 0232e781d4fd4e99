// SPDX-License-Identifier: GPL-2.0
//! Progress of a long command: a bar on a terminal, else a line every few seconds.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};

use crate::output::to_stderr;

/// Time between two lines where there is no terminal.
const EVERY: Duration = Duration::from_secs(5);

/// The progress of one command, on standard error.
#[derive(Debug)]
pub struct Progress {
    what: &'static str,
    total: u64,
    start: Instant,
    shown: Instant,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Starts at 0 of `total`.
    pub fn new(what: &'static str, total: u64) -> Self {
        let bar = stderr().is_terminal().then(|| {
            let style = "{msg} {wide_bar} {pos}/{len}, {eta} left";
            ProgressBar::new(total)
                .with_message(what)
                .with_style(ProgressStyle::with_template(style).expect("a valid template"))
        });
        let now = Instant::now();
        Self {
            what,
            total,
            start: now,
            shown: now,
            bar,
        }
    }

    /// Shows that `done` of the total is done.
    pub fn at(&mut self, done: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(done.min(self.total));
        } else if self.is_time() {
            to_stderr(&self.line(done));
        }
    }

    /// Shows progress with the text of `more`, which is called only when it is shown.
    pub fn at_with(&mut self, done: u64, more: impl FnOnce() -> Result<String>) -> Result<()> {
        if let Some(bar) = &self.bar {
            bar.set_position(done.min(self.total));
            bar.set_message(format!("{}, {}", more()?, self.what));
        } else if self.is_time() {
            to_stderr(&format!("{}; {}", self.line(done), more()?));
        }
        Ok(())
    }

    /// Whether the next line is due.
    fn is_time(&mut self) -> bool {
        let is_time = self.shown.elapsed() >= EVERY;
        if is_time {
            self.shown = Instant::now();
        }
        is_time
    }

    fn line(&self, done: u64) -> String {
        line(self.what, done, self.total, self.start.elapsed())
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn line(what: &str, done: u64, total: u64, elapsed: Duration) -> String {
    if done > total {
        return format!("{what}: {done}, more than the {total} expected");
    }
    let left = elapsed.as_secs_f64() * (total - done) as f64 / done.max(1) as f64;
    format!("{what}: {done} of {total}, {left:.0} s left")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_estimates_the_time_left() {
        assert_eq!(
            line("race", 25, 100, Duration::from_secs(10)),
            "race: 25 of 100, 30 s left"
        );
        assert_eq!(
            line("race", 100, 100, Duration::from_secs(9)),
            "race: 100 of 100, 0 s left"
        );
    }

    #[test]
    fn there_is_no_estimate_beyond_the_total() {
        assert_eq!(
            line("seconds", 45, 36, Duration::from_secs(45)),
            "seconds: 45, more than the 36 expected"
        );
    }
}
