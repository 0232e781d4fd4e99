// SPDX-License-Identifier: GPL-2.0
//! A barrier that two threads leave at the same moment, since both spin.

use std::hint;
use std::sync::atomic::{AtomicU64, Ordering};

/// Lets two threads, each on a CPU of its own, pass together. What one thread wrote before
/// the gate is visible to the other after it.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    arrivals: AtomicU64,
}

impl Gate {
    /// Waits for the other thread.
    pub(crate) fn pass(&self) {
        let arrived = self.arrivals.fetch_add(1, Ordering::AcqRel);
        let both = (arrived / 2 + 1) * 2;
        while self.arrivals.load(Ordering::Acquire) < both {
            hint::spin_loop();
        }
    }

    /// Number of times that both threads have passed.
    pub(crate) fn passed(&self) -> u64 {
        self.arrivals.load(Ordering::Relaxed) / 2
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;
    use std::thread;

    use super::*;

    #[test]
    fn neither_thread_gets_ahead() {
        let (gate, steps) = (Gate::default(), AtomicU32::new(0));
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for round in 0..200 {
                        gate.pass();
                        steps.fetch_add(1, Ordering::Relaxed);
                        gate.pass();
                        assert_eq!(steps.load(Ordering::Relaxed), 2 * (round + 1));
                    }
                });
            }
        });
        assert_eq!(gate.passed(), 400);
    }
}
