// SPDX-License-Identifier: GPL-2.0

//! Finds values that keep their own owner alive, in the test flavour.
//!
//! A value that holds a reference to its own owner keeps the owner alive, and the owner keeps the
//! value: neither is freed before the map ends. Then the drop of the value puts the last reference
//! to the owner that the value is attached to. That is what is detected here.

use crate::sync::{
    Atomic,
    Relaxed, //
};
use kernel::{
    prelude::*,
    warn_on, //
};

/// Set while a test expects such values. `CAUGHT` then counts their maps, and nothing is logged.
///
/// Only one test at a time changes the two: first `CAUGHT`, then `IS_EXPECTED`.
static IS_EXPECTED: Atomic<bool> = Atomic::new(false);
static CAUGHT: Atomic<u32> = Atomic::new(0);

/// Reports a map with a value that has kept its own owner alive.
pub(super) fn report(map: u64) {
    if IS_EXPECTED.load(Relaxed) {
        CAUGHT.add(1, Relaxed);
        return;
    }
    pr_warn!("map {map}: a value had the last reference to the owner that it was attached to\n");
    warn_on!(true);
}

/// Runs `body`, and returns how many maps had values that kept their own owner alive. Nothing is
/// logged for these. Only one test at a time may call it.
pub(crate) fn count_maps(body: impl FnOnce()) -> u32 {
    CAUGHT.store(0, Relaxed);
    IS_EXPECTED.store(true, Relaxed);
    body();
    IS_EXPECTED.store(false, Relaxed);
    CAUGHT.load(Relaxed)
}
