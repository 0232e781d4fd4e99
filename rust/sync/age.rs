// SPDX-License-Identifier: GPL-2.0

//! How many grace periods ago an object was unlinked, as the reaper counts: rcutorture's pipe
//! count.
//!
//! The test flavour has it; elsewhere it takes no room and no instruction.

#[cfg(OSTOR_TEST)]
use super::{
    Atomic,
    Relaxed, //
};

/// The age of an object.
///
/// | age | meaning                                                       |
/// |-----|---------------------------------------------------------------|
/// | 0   | it is linked, or the reaper has not come to it yet            |
/// | 1   | it is on no list, and the reaper waits for a grace period     |
/// | 2   | that grace period is over: the object is freed, or on its way |
///
/// A reader that came to the object in its read section never sees 2 there: the grace period waits
/// for it. The reaper alone writes the age.
pub(crate) struct Age {
    #[cfg(OSTOR_TEST)]
    periods: Atomic<i8>,
}

impl Age {
    /// Of an object that is not linked yet.
    pub(crate) const fn new() -> Self {
        Self {
            #[cfg(OSTOR_TEST)]
            periods: Atomic::new(0),
        }
    }

    /// One more. By the reaper, which owns the object.
    #[inline(always)]
    pub(crate) fn advance(&self) {
        #[cfg(OSTOR_TEST)]
        self.periods.store(self.periods.load(Relaxed) + 1, Relaxed);
    }

    /// The age now.
    #[cfg(OSTOR_TEST)]
    pub(crate) fn get(&self) -> i8 {
        self.periods.load(Relaxed)
    }
}
