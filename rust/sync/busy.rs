// SPDX-License-Identifier: GPL-2.0

//! The guard that rqspinlock has replaced: a counter per CPU that whoever comes second fails at.
//!
//! BPF task and cgroup storage were guarded so, against recursion. The counter cannot tell that
//! from a task that was preempted inside, so it refuses what would have been no trouble. It exists
//! in the test flavour only, to be compared with; elsewhere there is nothing to ask for it.

use kernel::types::NotThreadSafe;

/// Whether this flavour has the counter.
pub(crate) const OFFERED: bool = cfg!(OSTOR_TEST);

/// A stay inside, or one that is not counted. Ends when it is dropped, on the CPU where it began.
pub(crate) struct Section {
    counted: bool,
    _this_cpu: NotThreadSafe,
}

impl Section {
    /// Goes inside. [`None`]: somebody is on this CPU, and it is `counted`. Any context.
    ///
    /// Preemption stays as it is, migration is off until the end.
    pub(crate) fn enter(counted: bool) -> Option<Self> {
        (!counted || imp::enter()).then(|| Self {
            counted,
            _this_cpu: NotThreadSafe,
        })
    }
}

impl Drop for Section {
    fn drop(&mut self) {
        if self.counted {
            imp::leave();
        }
    }
}

#[cfg(not(OSTOR_TEST))]
mod imp {
    pub(super) const fn enter() -> bool {
        true
    }

    pub(super) const fn leave() {}
}

#[cfg(OSTOR_TEST)]
mod imp {
    use crate::shim;

    pub(super) fn enter() -> bool {
        // SAFETY: An FFI call with no requirement.
        unsafe { shim::ostor_busy_enter() }
    }

    pub(super) fn leave() {
        // SAFETY: Undoes an `enter` of this CPU, which has not changed since.
        unsafe { shim::ostor_busy_leave() };
    }
}
