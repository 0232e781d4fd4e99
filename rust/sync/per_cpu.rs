// SPDX-License-Identifier: GPL-2.0

//! One of something for each processor.

use crate::shim;
use kernel::prelude::*;

/// A `T` for each processor that there can be, each in an allocation of its own.
///
/// Which of them a caller gets is a matter of speed: a task may go to another processor before it
/// uses it, and an interrupt may come in between. So a `T` is shared like anything else.
///
/// # Invariants
///
/// There is one for every number that `smp_processor_id()` can return.
pub(crate) struct PerCpu<T>(KVec<Pin<KBox<T>>>);

impl<T> PerCpu<T> {
    /// Makes them. May sleep.
    pub(crate) fn new<E>(mut new: impl FnMut() -> Result<Pin<KBox<T>>, E>) -> Result<Self>
    where
        Error: From<E>,
    {
        // SAFETY: An FFI call with no requirement.
        let count = unsafe { shim::ostor_cpu_ids() };
        let mut all = KVec::with_capacity(count, GFP_KERNEL)?;
        for _ in 0..count {
            all.push(new()?, GFP_KERNEL)?;
        }
        // INVARIANT: So many as there are numbers.
        Ok(Self(all))
    }

    /// That of this processor. Any context.
    #[inline(always)]
    pub(crate) fn here(&self) -> &T {
        // SAFETY: An FFI call with no requirement.
        let cpu = unsafe { shim::ostor_cpu() } as usize;
        // SAFETY: By the type invariant.
        unsafe { self.0.get_unchecked(cpu) }
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|each| &**each)
    }
}
