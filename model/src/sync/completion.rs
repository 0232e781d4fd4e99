// SPDX-License-Identifier: GPL-2.0

//! Stands in for the kernel crate's completion.

use super::{
    Atomic,
    Full, //
};
use kernel::prelude::*;
use std::{
    cell::Cell,
    rc::Rc, //
};

/// An event that threads wait for.
pub(crate) struct Completion {
    /// The word that the engines schedule.
    word: Atomic<u64>,
    done: Rc<Cell<bool>>,
}

impl Completion {
    /// A completion that is not complete.
    pub(crate) fn new() -> impl PinInit<Self> {
        kernel::init::Build(|| {
            Ok::<_, core::convert::Infallible>(Self {
                word: Atomic::new(0),
                done: Rc::new(Cell::new(false)),
            })
        })
    }

    /// Completes it.
    pub(crate) fn complete_all(&self) {
        let done = self.done.clone();
        self.word.add(1, Full);
        // A thread that waits may free the completion from here on.
        done.set(true);
        machine::wake();
    }

    /// Waits until it is complete. May sleep.
    pub(crate) fn wait_for_completion(&self) {
        let done = self.done.clone();
        machine::work::sleep_until(move |_| done.get());
        self.word.add(0, Full);
    }

    /// As [`Completion::wait_for_completion`]: no task is killed here.
    pub(crate) fn wait_unless_killed(&self) -> bool {
        self.wait_for_completion();
        true
    }
}
