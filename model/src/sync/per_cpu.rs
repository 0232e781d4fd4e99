// SPDX-License-Identifier: GPL-2.0

//! One of something for each processor: two of them where chance schedules, and one where all
//! interleavings are gone through.

use kernel::prelude::*;
use machine::engine::Engine;

/// A `T` for each processor.
pub(crate) struct PerCpu<T>(Vec<Pin<KBox<T>>>);

impl<T> PerCpu<T> {
    /// Makes them.
    pub(crate) fn new<E>(mut new: impl FnMut() -> Result<Pin<KBox<T>>, E>) -> Result<Self>
    where
        Error: From<E>,
    {
        let count = match machine::engine() {
            Engine::Loom => 1,
            Engine::Shuttle => 2,
        };
        let all: Result<Vec<_>, E> = (0..count).map(|_| new()).collect();
        Ok(Self(all?))
    }

    /// That of this processor.
    pub(crate) fn here(&self) -> &T {
        &self.0[machine::cpu() % self.0.len()]
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|each| &**each)
    }
}
