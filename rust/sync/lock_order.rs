// SPDX-License-Identifier: GPL-2.0

//! The order of locks, which the test flavour watches; rqspinlock has no annotations for lockdep.
//!
//! The order is that there is none: no lock is taken while another one is held. A CPU comes to hold
//! several by recursion only, where something that knows nothing of the section runs inside it: an
//! NMI, or a probe on one of our tracepoints.

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

    /// What a CPU has written down of itself.
    ///
    /// | value                    | meaning                                                  |
    /// |--------------------------|----------------------------------------------------------|
    /// | 0                        | it is in no section, or in a probe inside one            |
    /// | `depth << 8 \| site + 1` | it is in a section whose lock was taken at the site,     |
    /// |                          | with `depth` NMIs around it                              |
    ///
    /// The CPU alone reads and writes it, in a section or with interrupts off, so that nothing but
    /// an NMI comes between, which leaves it as it was.
    #[derive(Copy, Clone, PartialEq, Eq)]
    struct Record(u32);

    impl Record {
        const NONE: Self = Self(0);

        fn new(site: Site) -> Self {
            // SAFETY: An FFI call with no requirement.
            let depth = unsafe { shim::ostor_nmi_depth() };
            Self(depth << 8 | (site as u32 + 1))
        }

        /// This CPU's, which does not change until the caller writes it or leaves the section.
        fn load() -> Self {
            // SAFETY: An FFI call with no requirement.
            Self(with_irqs_off(|| unsafe { shim::ostor_section() }))
        }

        /// Writes this CPU's; in a section.
        fn store(self) {
            // SAFETY: An FFI call with no requirement.
            unsafe { shim::ostor_set_section(self.0) };
        }

        /// The site of the section, if it is one of the context that the caller runs in.
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

    /// Notes it if the caller, who is to take a lock at `site`, holds one. Any context.
    pub(crate) fn check(site: Site) {
        if let Some(outer) = Record::load().site() {
            violated(outer, site);
        }
    }

    /// Runs a section whose lock was taken at `site`; with interrupts off.
    pub(crate) fn inside<R>(site: Site, section: impl FnOnce() -> R) -> R {
        let before = Record::load();
        Record::new(site).store();
        let result = section();
        before.store();
        result
    }

    /// Runs what may recurse, maybe inside a section. Any context.
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

    /// Whether somebody was told of a violation.
    static TOLD: Atomic<bool> = Atomic::new(false);

    /// The task that violates the order to see whether that is noticed, and how often it was.
    static CULPRIT: Atomic<*mut bindings::task_struct> = Atomic::new(ptr::null_mut());
    static CAUGHT: Atomic<u32> = Atomic::new(0);

    fn violated(outer: Site, inner: Site) {
        if CULPRIT.load(Relaxed) == Task::current_raw() {
            CAUGHT.add(1, Relaxed);
        } else if !TOLD.load(Relaxed) {
            TOLD.store(true, Relaxed);
            pr_err!("lock order: {inner:?} is taken inside {outer:?}\n");
            warn_on!(true);
        }
    }

    /// Runs `crime` and returns how many violations of this task were noticed, which are not told
    /// of. For one task at a time.
    pub(crate) fn violations(crime: impl FnOnce()) -> u32 {
        CAUGHT.store(0, Relaxed);
        CULPRIT.store(Task::current_raw(), Relaxed);
        crime();
        CULPRIT.store(ptr::null_mut(), Relaxed);
        CAUGHT.load(Relaxed)
    }
}

#[cfg(OSTOR_TEST)]
pub(crate) use imp::violations;
pub(crate) use imp::{
    check,
    inside,
    outside, //
};
