// SPDX-License-Identifier: GPL-2.0

//! Ages: the reaper writes them, and no operation decides by them.

use std::cell::Cell;

/// The age of an object. The machine does not check accesses to it: a reader may load it at the
/// same time as the reaper writes it.
pub(crate) struct Age(Cell<i8>);

impl Age {
    /// The age of an object that is not linked yet.
    pub(crate) const fn new() -> Self {
        Self(Cell::new(0))
    }

    /// Adds one.
    pub(crate) fn advance(&self) {
        self.0.set(self.0.get() + 1);
    }

    /// The age.
    pub(crate) fn get(&self) -> i8 {
        self.0.get()
    }
}
