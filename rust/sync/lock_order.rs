// SPDX-License-Identifier: GPL-2.0

//! Checks in the test flavour that no lock is taken while another one is held. rqspinlock has no
//! annotations for lockdep.
//!
//! A CPU holds several locks by recursion only: where an NMI interrupts a section, or a probe on
//! one of the module's tracepoints runs in one.

use super::fault::Site;

#[cfg(not(OSTOR_TEST))]
mod imp {
    use super::Site;

    #[inline(always)]
    pub(crate) fn check(_site: Site) {}

    #[inline(always)]
    pub(crate) fn inside<R>(_site: Site, section: impl FnOnce() -> R) -> R {
        section()
    }

    #[inline(always)]
    pub(crate) fn outside<R>(recursion: impl FnOnce() -> R) -> R {
        recursion()
    }
}

#[cfg(OSTOR_TEST)]
mod imp {
    use super::Site;
    use crate::{
        shim,
        sync::{
            irq::with_irqs_off,
            Atomic,
            Relaxed, //
        }, //
    };
    use core::ptr;
    use kernel::{
        bindings,
        prelude::*,
        task::Task,
        warn_on, //
    };

    /// The innermost section that a CPU is in, in a per-CPU word.
    ///
    /// | value                    | meaning                                                  |
    /// |--------------------------|----------------------------------------------------------|
    /// | 0                        | the CPU is in no section, or in a probe inside one       |
    /// | `depth << 8 \| site + 1` | the CPU is in a section whose lock was taken at `site`   |
    /// |                          | in `depth` nested NMIs                                   |
    ///
    /// Only the CPU itself reads and writes its word, in a section or with interrupts off. So only
    /// an NMI can come in between, and it restores the value that it found.
    #[derive(Copy, Clone, PartialEq, Eq)]
    struct Record(u32);

    impl Record {
        const NONE: Self = Self(0);

        fn new(site: Site) -> Self {
            // SAFETY: An FFI call with no requirement.
            let depth = unsafe { shim::ostor_nmi_depth() };
            Self(depth << 8 | (site as u32 + 1))
        }

        /// This CPU's. It does not change until the caller stores another one or leaves the
        /// section.
        fn load() -> Self {
            // SAFETY: An FFI call with no requirement.
            Self(with_irqs_off(|| unsafe { shim::ostor_section() }))
        }

        /// Sets this CPU's. The caller must be in a section.
        fn store(self) {
            // SAFETY: An FFI call with no requirement.
            unsafe { shim::ostor_set_section(self.0) };
        }

        /// The site of the section, if the section is not one that an NMI has interrupted.
        fn site(self) -> Option<Site> {
            // SAFETY: An FFI call with no requirement.
            let depth = unsafe { shim::ostor_nmi_depth() };
            if self.0 >> 8 != depth {
                return None;
            }
            let index = (self.0 & 0xff).checked_sub(1)?;
            Site::ALL.get(index as usize).copied()
        }
    }

    /// Reports a caller that holds a lock and is to take another one at `site`. Any context.
    pub(crate) fn check(site: Site) {
        if let Some(outer) = Record::load().site() {
            violated(outer, site);
        }
    }

    /// Runs `section`, whose lock was taken at `site`. The caller must have interrupts off.
    pub(crate) fn inside<R>(site: Site, section: impl FnOnce() -> R) -> R {
        let before = Record::load();
        Record::new(site).store();
        let result = section();
        before.store();
        result
    }

    /// Runs `recursion`, which may take locks though the caller may be in a section. Any context.
    pub(crate) fn outside<R>(recursion: impl FnOnce() -> R) -> R {
        let section = Record::load();
        if section == Record::NONE {
            return recursion();
        }
        Record::NONE.store();
        let result = recursion();
        section.store();
        result
    }

    /// Whether the log has a violation already. There is one report.
    static IS_REPORTED: Atomic<bool> = Atomic::new(false);

    /// The task whose violations are counted and not reported; null if no test runs.
    static TESTER: Atomic<*mut bindings::task_struct> = Atomic::new(ptr::null_mut());

    /// Violations of that task.
    static COUNTED: Atomic<u32> = Atomic::new(0);

    fn violated(outer: Site, inner: Site) {
        if TESTER.load(Relaxed) == Task::current_raw() {
            COUNTED.add(1, Relaxed);
        } else if !IS_REPORTED.load(Relaxed) {
            IS_REPORTED.store(true, Relaxed);
            pr_err!("lock order: {inner:?} is taken inside {outer:?}\n");
            warn_on!(true);
        }
    }

    /// Runs `body` and returns how many violations the calling task made in it. They are not
    /// reported. One task at a time may call it.
    pub(crate) fn count_violations(body: impl FnOnce()) -> u32 {
        COUNTED.store(0, Relaxed);
        TESTER.store(Task::current_raw(), Relaxed);
        body();
        TESTER.store(ptr::null_mut(), Relaxed);
        COUNTED.load(Relaxed)
    }
}

#[cfg(OSTOR_TEST)]
pub(crate) use imp::count_violations;
pub(crate) use imp::{
    check,
    inside,
    outside, //
};
