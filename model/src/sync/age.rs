// SPDX-License-Identifier: GPL-2.0

//! Ages: the reaper writes them, and nothing goes by them.

use std::cell::Cell;

/// The age of an object. It is no memory of the machine: a reader looks at it when the reaper may
/// write it, whatever is ordered.
pub(crate) struct Age(Cell<i8>);

impl Age {
    /// Of an object that is not linked yet.
    pub(crate) const fn new() -> Self {
        Self(Cell::new(0))
    }

    /// One more.
    pub(crate) fn advance(&self) {
        self.0.set(self.0.get() + 1);
    }

    /// The age now.
    pub(crate) fn get(&self) -> i8 {
        self.0.get()
    }
}
