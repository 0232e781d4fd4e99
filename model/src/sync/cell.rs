// SPDX-License-Identifier: GPL-2.0

//! Cells of plain memory, on which the machine detects races.

use machine::plain;

/// A cell.
pub(crate) struct Cell<T>(std::cell::Cell<T>);

impl<T: Copy> Cell<T> {
    /// A cell with this value. It may be moved until its first use.
    pub(crate) const fn new(value: T) -> Self {
        Self(std::cell::Cell::new(value))
    }

    fn addr(&self) -> usize {
        self.0.as_ptr() as usize
    }

    /// The value.
    #[track_caller]
    pub(crate) fn get(&self) -> T {
        plain::read(self.addr());
        self.0.get()
    }

    /// Sets the value.
    #[track_caller]
    pub(crate) fn set(&self, value: T) {
        plain::write(self.addr());
        self.0.set(value);
    }

    /// Sets the value, and returns the previous one.
    #[track_caller]
    pub(crate) fn replace(&self, value: T) -> T {
        plain::write(self.addr());
        self.0.replace(value)
    }
}
