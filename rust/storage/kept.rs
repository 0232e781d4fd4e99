// SPDX-License-Identifier: GPL-2.0

//! Values that keep their own owner, which the test flavour tells of.
//!
//! Such an owner does not end before its value does, which does not end before its owner: both stay
//! until the map ends. Then the drop of the value puts the last reference to the owner that the
//! value was attached to, and that is what is seen here.

use crate::sync::{
    Atomic,
    Relaxed, //
};
use kernel::{
    prelude::*,
    warn_on, //
};

/// Whether a test is to see it, and how many maps it has seen.
static IS_EXPECTED: Atomic<bool> = Atomic::new(false);
static CAUGHT: Atomic<u32> = Atomic::new(0);

/// Tells of a map whose value has kept its owner.
pub(super) fn tell(map: u64) {
    if IS_EXPECTED.load(Relaxed) {
        CAUGHT.add(1, Relaxed);
        return;
    }
    pr_warn!("map {map}: a value had the last reference to the owner that it was attached to\n");
    warn_on!(true);
}

/// Runs `body`, and returns how many maps were seen in which a value has kept its owner, of which
/// nobody is told. For one test at a time.
pub(crate) fn maps_in(body: impl FnOnce()) -> u32 {
    CAUGHT.store(0, Relaxed);
    IS_EXPECTED.store(true, Relaxed);
    body();
    IS_EXPECTED.store(false, Relaxed);
    CAUGHT.load(Relaxed)
}
