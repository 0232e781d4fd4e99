// SPDX-License-Identifier: GPL-2.0

//! Bells that the machine's kworkers answer.

use kernel::prelude::*;
use machine::work;
use std::marker::PhantomData;

/// The kworkers. Dropping it waits for all work.
pub(crate) struct Queue(());

impl Queue {
    /// Kworkers, which start with the execution's first thread.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(()))
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        work::close();
    }
}

/// What a [`Bell`] calls.
pub(crate) trait Listener: Sync + 'static {
    /// Answers rings: at least once after each [`Bell::ring`], never twice at a time.
    fn answer();
}

/// Rung in any context, answered in a kworker.
pub(crate) struct Bell<L: Listener> {
    work: usize,
    _listener: PhantomData<fn(L)>,
}

impl<L: Listener> Bell<L> {
    /// A bell.
    pub(crate) fn new(_queue: &Queue) -> impl PinInit<Self> {
        kernel::init::Build(|| {
            Ok::<_, core::convert::Infallible>(Self {
                work: work::add(L::answer),
                _listener: PhantomData,
            })
        })
    }

    /// Asks for an answer, soon.
    pub(crate) fn ring(&self) {
        work::ask(self.work);
    }

    /// Asks for an answer later; how much later is up to who schedules.
    pub(crate) fn ring_later(&self, _jiffies: usize) {
        work::ask(self.work);
    }

    /// Waits until all rings so far are answered. May sleep.
    pub(crate) fn flush(&self) {
        work::flush(self.work);
    }
}

/// Nothing: others run whenever they want.
pub(crate) fn cond_resched() {}

/// Sleeps for a moment. An execution that does so too often hangs.
pub(crate) fn pause() {
    machine::pause();
}
