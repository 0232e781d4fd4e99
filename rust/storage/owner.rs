// SPDX-License-Identifier: GPL-2.0

//! What the storage knows of an owner.

use super::error::Refusal;
use crate::sync::{
    nolock::Payer,
    rcu::Guard, //
};

/// What tells one owner from every other that is or was.
///
/// Addresses are used again. The stamp differs between two owners that have the same address one
/// after the other, so that a missed notice of death ends in a miss and never in another owner's
/// value. Its low bits are the kind, since the memory of one kind may become another kind's.
///
/// # Invariants
///
/// `addr` is not 0, and its two lowest bits are clear.
#[derive(Copy, Clone, PartialEq, Eq)]
pub(crate) struct OwnerId {
    addr: usize,
    stamp: u64,
}

impl OwnerId {
    /// Bits of a kind's number.
    const KIND_BITS: u32 = 4;

    /// Largest serial number.
    pub(crate) const SERIAL_MAX: u64 = u64::MAX >> Self::KIND_BITS;

    /// The identity of the object of `kind` at `object`, which must have an alignment of 4 or more,
    /// and whose `serial` number the next object there must not have.
    #[inline(always)]
    pub(crate) fn new<T>(object: *const T, ops: &OwnerOps, serial: u64) -> Self {
        const { assert!(align_of::<T>() >= 4) };
        // INVARIANT: Objects are not at null, and aligned.
        Self {
            addr: object as usize,
            stamp: serial << Self::KIND_BITS | u64::from(ops.kind),
        }
    }

    /// An identity from its parts.
    ///
    /// # Safety
    ///
    /// The parts must come from one.
    #[inline(always)]
    pub(super) unsafe fn from_parts(addr: usize, stamp: u64) -> Self {
        // INVARIANT: By the contract.
        Self { addr, stamp }
    }

    /// The address.
    #[inline(always)]
    pub(crate) fn addr(self) -> usize {
        self.addr
    }

    /// The stamp.
    #[inline(always)]
    pub(super) fn stamp(self) -> u64 {
        self.stamp
    }

    /// Whether it is an identity of this kind.
    pub(crate) fn is_of(self, ops: &OwnerOps) -> bool {
        self.stamp & ((1 << Self::KIND_BITS) - 1) == u64::from(ops.kind)
    }

    /// The serial number.
    pub(crate) fn serial(self) -> u64 {
        self.stamp >> Self::KIND_BITS
    }
}

/// How an owner is shown to people: what it is and its number, which need not be unique.
#[derive(Copy, Clone)]
pub(crate) struct Label {
    /// The number of its kind.
    pub(crate) kind: u32,
    /// A pid, an id, a cookie.
    pub(crate) id: u64,
}

/// What the owners of one kind have in common, for when only the identity of one is at hand.
pub(crate) struct OwnerOps {
    /// The number the kind is listed by, 15 at most; 0 is for owners that are no objects.
    pub(crate) kind: u32,
    /// The number that the owner is shown with now. Any context.
    ///
    /// To be called if an element of the owner was seen live under the guard. The notice of death
    /// ends all elements before it returns, so it had not returned when the guard was taken; it may
    /// have begun, then or earlier. What this reads must stay until a grace period after the notice
    /// has returned.
    pub(crate) number_of: unsafe fn(OwnerId, &Guard) -> u64,
    /// Takes bytes off what [`Owner::charge`] put on; [`None`] if such owners are not charged. Any
    /// context.
    ///
    /// To be called before the owner's notice of death is over.
    pub(crate) uncharge: Option<unsafe fn(OwnerId, u32)>,
}

/// An object that values can be attached to.
///
/// # Safety
///
/// Implementers must ensure:
///
/// - While a [`Owner::Gate`] exists, the owner's notice of death has not begun, nor will it before
///   the gate and the RCU guard it came from are gone.
/// - After [`Owner::gate`] has refused once because the owner is dying, it refuses for ever.
/// - For every owner that was ever let through, [`Runtime::owner_died`] is called, once or more,
///   before its memory is used again.
/// - The functions of [`Owner::kind`] are sound to call as they say.
///
/// [`Runtime::owner_died`]: super::runtime::Runtime::owner_died
pub(crate) unsafe trait Owner {
    /// Evidence that the owner is alive; held while an element is linked.
    type Gate<'a>
    where
        Self: 'a;

    /// What it has in common with others.
    fn ops(&self) -> &'static OwnerOps;

    /// The identity. Any context.
    ///
    /// The same for the owner's whole life from the first gate on; before that, it may also be one
    /// that nothing was ever stored under.
    fn id(&self) -> OwnerId;

    /// Lets through who wants to link an element, or refuses: [`Refusal::OwnerDead`] if the owner
    /// is dead or dying, [`Refusal::Unsupported`] if its death could not be noticed. Any context.
    fn gate<'a>(&'a self, rcu: &'a Guard) -> Result<Self::Gate<'a>, Refusal>;

    /// Who pays for the memory that is allocated for the owner. Any context.
    fn payer<'a>(&self, _rcu: &'a Guard) -> Payer<'a> {
        Payer::NONE
    }

    /// Charges the owner, or refuses if that would pass a limit of its. Any context; called only
    /// past the gate, and only for owners whose kind says how to take it off.
    fn charge(&self, _bytes: u32) -> bool {
        true
    }
}
