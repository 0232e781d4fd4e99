// SPDX-License-Identifier: GPL-2.0

//! The guard that rqspinlock has replaced: a counter per CPU, which refuses the second operation.
//!
//! BPF task and cgroup storage had it against recursion. The counter cannot tell recursion from a
//! task that was preempted inside, so it refuses what would have been no trouble. It is here to be
//! compared with.

use crate::shim;
use kernel::types::NotThreadSafe;

/// A stay inside, or one that is not counted. Ends when it is dropped, on the CPU where it began.
pub(crate) struct Section {
    counted: bool,
    _this_cpu: NotThreadSafe,
}

impl Section {
    /// Goes inside. [`None`]: it is `counted`, and another operation is inside on this CPU. Any
    /// context.
    ///
    /// Preemption stays as it is, migration is disabled until the end.
    pub(crate) fn enter(counted: bool) -> Option<Self> {
        // SAFETY: An FFI call with no requirement.
        (!counted || unsafe { shim::ostor_busy_enter() }).then(|| Self {
            counted,
            _this_cpu: NotThreadSafe,
        })
    }
}

impl Drop for Section {
    fn drop(&mut self) {
        if self.counted {
            // SAFETY: Undoes `enter`, on the same CPU: migration has been disabled since.
            unsafe { shim::ostor_busy_leave() };
        }
    }
}
