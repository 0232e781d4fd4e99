// SPDX-License-Identifier: GPL-2.0
//! How long a torture goes on.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// When all stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Span {
    Seconds(u64),
    /// Turns of all workers together.
    Ops(u64),
}

/// What workers ask before each turn.
pub(super) struct Limit {
    span: Span,
    start: Instant,
    turns: AtomicU64,
    stopped: AtomicBool,
}

impl Limit {
    /// From now on.
    pub(super) fn new(span: Span) -> Self {
        Self {
            span,
            start: Instant::now(),
            turns: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
        }
    }

    /// Takes a turn, if there is one left.
    pub(super) fn take_turn(&self) -> bool {
        if self.is_over() {
            return false;
        }
        let turn = self.turns.fetch_add(1, Ordering::Relaxed);
        !matches!(self.span, Span::Ops(ops) if turn >= ops)
    }

    /// Whether there is no turn left.
    pub(super) fn is_over(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
            || match self.span {
                Span::Seconds(seconds) => self.elapsed() >= Duration::from_secs(seconds),
                Span::Ops(ops) => self.turns.load(Ordering::Relaxed) >= ops,
            }
    }

    /// Leaves no turn.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// How many turns were taken.
    pub(super) fn turns(&self) -> u64 {
        let turns = self.turns.load(Ordering::Relaxed);
        match self.span {
            Span::Seconds(_) => turns,
            // Each worker is refused one more.
            Span::Ops(ops) => turns.min(ops),
        }
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// What is counted, how much of it there is, and how much is done.
    pub(super) fn progress(&self) -> (&'static str, u64, u64) {
        match self.span {
            Span::Seconds(seconds) => ("seconds", seconds, self.elapsed().as_secs()),
            Span::Ops(ops) => ("operations", ops, self.turns()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_turns_as_were_asked_for() {
        let limit = Limit::new(Span::Ops(3));
        let taken = (0..10).filter(|_| limit.take_turn()).count();
        assert_eq!((taken, limit.turns()), (3, 3));
        assert!(limit.is_over());
        assert_eq!(limit.progress(), ("operations", 3, 3));
    }

    #[test]
    fn whoever_stops_it_ends_it() {
        let limit = Limit::new(Span::Seconds(1000));
        assert!(limit.take_turn() && !limit.is_over());
        limit.stop();
        assert!(!limit.take_turn() && limit.is_over());
        assert_eq!(limit.turns(), 1);
    }
}
