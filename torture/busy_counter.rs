// SPDX-License-Identifier: GPL-2.0

//! The guard against recursion that BPF task and cgroup storage had before rqspinlock: a counter
//! per CPU, which refuses the second operation on that CPU.
//!
//! The counter cannot tell recursion from a task that was preempted during an operation. So it also
//! refuses operations that would not have deadlocked. The torture compares it with rqspinlock.

use crate::shim;
use kernel::types::NotThreadSafe;

/// An operation that is counted, or one that is not. Dropped on the CPU where it began.
pub(crate) struct Section {
    counted: bool,
    _this_cpu: NotThreadSafe,
}

impl Section {
    /// Begins an operation. Returns [`None`] if it is `counted`, and this CPU has another one that
    /// is counted. Any context.
    ///
    /// Disables migration until the drop. Does not disable preemption.
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
