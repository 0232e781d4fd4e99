// SPDX-License-Identifier: GPL-2.0

//! Creates that do not fail for lack of memory.

use super::{
    owner::Owner,
    Map, //
};
use crate::{
    owner::owner_ref::put_from,
    storage::{
        self,
        error::Refusal,
        map::Stored, //
    }, //
};
use core::marker::PhantomData;
use kernel::{
    prelude::*,
    sync::rcu::Guard, //
};

/// Memory for a number of creates of values of type `T`, allocated beforehand.
///
/// One that is dropped frees its memory; not in NMI.
///
/// # Examples
///
/// ```
/// use kernel::{prelude::*, sync::{rcu, SpinLock}, task::Task};
/// use owner_storage::api::{Map, Reserve};
///
/// /// Counts the task's events under a lock, where no memory may be waited for. The caller has
/// /// filled the reserve before.
/// fn count(map: &Map<u64>, reserve: &SpinLock<Reserve<u64>>, task: &Task) -> Result {
///     let rcu = rcu::read_lock();
///     map.get_or_create_from(&mut reserve.lock(), task, || 1, &rcu)?;
///     Ok(())
/// }
/// ```
pub struct Reserve<T>(storage::reserve::Reserve, PhantomData<fn(T)>);

impl<T: Send + Sync + 'static> Reserve<T> {
    /// Allocates until there is memory for `creates` creates. May sleep. Fails with `ENOMEM`; what
    /// was allocated stays.
    pub fn fill(&mut self, creates: usize) -> Result {
        self.0.fill(creates)
    }

    /// The number of creates that there is memory for.
    pub fn left(&self) -> usize {
        self.0.left()
    }
}

impl<T: Send + Sync + 'static> Map<T> {
    /// Memory for `creates` creates in this map. May sleep. Fails with `ENOMEM`.
    pub fn reserve(&self, creates: usize) -> Result<Reserve<T>> {
        let mut reserve = Reserve(
            storage::reserve::Reserve::new(self.raw()),
            PhantomData, //
        );
        reserve.fill(creates)?;
        Ok(reserve)
    }

    /// As [`Map::get_or_create`], with memory of `reserve`. If there is memory for a create, fails
    /// with [`Refusal::NoMemory`] only for a socket at its limit of charged memory. The memory is
    /// charged to no memory cgroup.
    ///
    /// Uses up memory for one create at most, also if it fails.
    pub fn get_or_create_from<'a>(
        &'a self,
        reserve: &mut Reserve<T>,
        owner: &impl Owner,
        new: impl FnOnce() -> T,
        rcu: &'a Guard,
    ) -> Result<Stored<&'a T>, Refusal> {
        let reserve = &reserve.0;
        self.put_by(new, |init| {
            // SAFETY: `put_by` keeps the contract.
            unsafe { put_from(self.raw(), reserve, &owner.owner_ref(), init, rcu) }
        })
    }
}
