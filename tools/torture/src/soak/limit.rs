// SPDX-License-Identifier: GPL-2.0
//! The end of a run.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The length of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Span {
    Seconds(u64),
    /// Steps of all threads together.
    Ops(u64),
}

/// The limit, which threads ask before each step.
pub(super) struct Limit {
    span: Span,
    start: Instant,
    steps: AtomicU64,
    stopped: AtomicBool,
}

impl Limit {
    /// A limit of a run that begins now.
    pub(super) fn new(span: Span) -> Self {
        Self {
            span,
            start: Instant::now(),
            steps: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
        }
    }

    /// Takes a step, if one is left.
    pub(super) fn take_step(&self) -> bool {
        if self.is_over() {
            return false;
        }
        let step = self.steps.fetch_add(1, Ordering::Relaxed);
        !matches!(self.span, Span::Ops(ops) if step >= ops)
    }

    /// Whether no step is left.
    pub(super) fn is_over(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
            || match self.span {
                Span::Seconds(seconds) => self.elapsed() >= Duration::from_secs(seconds),
                Span::Ops(ops) => self.steps.load(Ordering::Relaxed) >= ops,
            }
    }

    /// Ends the run.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// The number of steps taken.
    pub(super) fn steps(&self) -> u64 {
        let steps = self.steps.load(Ordering::Relaxed);
        match self.span {
            Span::Seconds(_) => steps,
            // Each thread has also counted the step that it was refused.
            Span::Ops(ops) => steps.min(ops),
        }
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// The unit, the total and the part that is done.
    pub(super) fn progress(&self) -> (&'static str, u64, u64) {
        match self.span {
            Span::Seconds(seconds) => ("seconds", seconds, self.elapsed().as_secs()),
            Span::Ops(ops) => ("operations", ops, self.steps()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_steps_are_taken_than_asked_for() {
        let limit = Limit::new(Span::Ops(3));
        let taken = (0..10).filter(|_| limit.take_step()).count();
        assert_eq!((taken, limit.steps()), (3, 3));
        assert!(limit.is_over());
        assert_eq!(limit.progress(), ("operations", 3, 3));
    }

    #[test]
    fn a_stop_ends_the_run() {
        let limit = Limit::new(Span::Seconds(1000));
        assert!(limit.take_step() && !limit.is_over());
        limit.stop();
        assert!(!limit.take_step() && limit.is_over());
        assert_eq!(limit.steps(), 1);
    }
}
