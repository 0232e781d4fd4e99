// SPDX-License-Identifier: GPL-2.0

//! What the storage knows of an owner.

use crate::sync::rcu::Guard;

/// What tells one owner from every other that is or was.
///
/// Addresses are used again. The stamp differs between two owners that have the same address one
/// after the other, so that a missed notice of death ends in a miss and never in another owner's
/// value.
///
/// # Invariants
///
/// `addr` is not 0, and its lowest bit is clear.
#[derive(Copy, Clone, PartialEq, Eq)]
pub(crate) struct OwnerId {
    addr: usize,
    stamp: u64,
}

impl OwnerId {
    /// The identity of the object at `object`, which must have an alignment of 2 or more.
    #[inline(always)]
    pub(crate) fn new<T>(object: *const T, stamp: u64) -> Self {
        const { assert!(align_of::<T>() > 1) };
        // INVARIANT: Objects are not at null, and aligned.
        Self {
            addr: object as usize,
            stamp,
        }
    }

    /// The address.
    #[inline(always)]
    pub(crate) fn addr(self) -> usize {
        self.addr
    }

    /// The stamp.
    #[inline(always)]
    pub(crate) fn stamp(self) -> u64 {
        self.stamp
    }
}

/// How an owner is shown to people: what it is and its number, which need not be unique.
#[derive(Copy, Clone)]
pub(crate) struct Label {
    /// One of the kinds that the device lists.
    pub(crate) kind: u32,
    /// A pid, an id, a cookie.
    pub(crate) id: u64,
}

/// An object that values can be attached to.
///
/// # Safety
///
/// Implementers must ensure:
///
/// - While a [`Owner::Gate`] exists, the owner's notice of death has not begun, nor will it before
///   the gate and the RCU guard it came from are gone.
/// - After [`Owner::gate`] has refused once, it refuses for ever.
/// - For every owner that was ever let through, [`Runtime::owner_died`] is called, once or more,
///   before its memory is used again.
///
/// [`Runtime::owner_died`]: super::runtime::Runtime::owner_died
pub(crate) unsafe trait Owner {
    /// Evidence that the owner is alive; held while an element is linked.
    type Gate<'a>
    where
        Self: 'a;

    /// The identity, the same for the owner's whole life.
    fn id(&self) -> OwnerId;

    /// How to show the owner that is known as `id`. Any context.
    ///
    /// # Safety
    ///
    /// An element of the owner must have been seen live under `rcu`: the notice of death had not
    /// begun when the guard was taken.
    unsafe fn label(id: OwnerId, rcu: &Guard) -> Label;

    /// Lets through who wants to link an element, or refuses if the owner is dead or dying. Any
    /// context.
    fn gate<'a>(&'a self, rcu: &'a Guard) -> Option<Self::Gate<'a>>;
}
