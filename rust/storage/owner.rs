// SPDX-License-Identifier: GPL-2.0

//! What the storage needs to know of an owner.

use super::{
    error::Refusal,
    hints::Hints, //
};
use crate::sync::{
    nolock::Payer,
    rcu::Guard, //
};
use core::ptr::NonNull;

/// The identity of an owner: it differs from that of every other owner that is alive or ever was.
///
/// Memory is reused, so an address alone does not identify an owner. The stamp differs between two
/// owners that had the same address one after the other. So after a missed notice of death, a
/// lookup finds nothing; it never finds another owner's value. The low bits of the stamp are the
/// kind, since the memory of an owner can be reused for an owner of another kind.
///
/// # Invariants
///
/// `addr` is not 0, and its two lowest bits are clear.
#[derive(Copy, Clone, PartialEq, Eq)]
pub struct OwnerId {
    addr: usize,
    stamp: u64,
}

impl OwnerId {
    /// Number of bits that hold [`OwnerOps::kind`].
    const KIND_BITS: u32 = 4;

    /// The largest serial number.
    pub(crate) const SERIAL_MAX: u64 = u64::MAX >> Self::KIND_BITS;

    /// The identity of the owner at `object`, which must not be null, of the kind with this number.
    /// `serial` must differ between two owners of one kind that have this address one
    /// after the other.
    #[inline(always)]
    pub(crate) fn new<T>(object: *const T, kind: u32, serial: u64) -> Self {
        const { assert!(align_of::<T>() >= 4) };
        // INVARIANT: `object` is not null, and the assertion above makes the two lowest bits of its
        // address clear.
        Self {
            addr: object as usize,
            stamp: serial << Self::KIND_BITS | u64::from(kind),
        }
    }

    /// Puts an identity together again.
    ///
    /// # Safety
    ///
    /// `addr` and `stamp` must come from one [`OwnerId`].
    #[inline(always)]
    pub(super) unsafe fn from_parts(addr: usize, stamp: u64) -> Self {
        // INVARIANT: By the safety requirements `addr` is that of an `OwnerId`.
        Self { addr, stamp }
    }

    /// The address of the owner.
    #[inline(always)]
    pub(crate) fn addr(self) -> usize {
        self.addr
    }

    /// The stamp: serial number and kind.
    #[inline(always)]
    pub(super) fn stamp(self) -> u64 {
        self.stamp
    }

    /// Returns whether the owner is of the kind that `ops` describes.
    pub(crate) fn is_of(self, ops: &OwnerOps) -> bool {
        self.stamp & ((1 << Self::KIND_BITS) - 1) == u64::from(ops.kind)
    }

    /// The serial number.
    pub(crate) fn serial(self) -> u64 {
        self.stamp >> Self::KIND_BITS
    }
}

/// What user space is shown of an owner. Two owners can have the same label.
#[derive(Copy, Clone)]
pub struct Label {
    /// The number of its kind, one of `OSTOR_KIND_*` in `include/uapi/linux/owner_storage.h`.
    pub kind: u32,
    /// A task's pid, a cgroup's id, the cookie of a socket or network namespace, or the serial
    /// number of another module's object.
    pub id: u64,
}

/// What all owners of one kind have in common. It serves code that knows the identity of an owner,
/// but has no reference to it.
pub(crate) struct OwnerOps {
    /// The number of the kind, 15 at most. Owners that are no objects of the kernel have kind 0.
    pub(crate) kind: u32,
    /// Returns the number that user space knows the owner by. Any context.
    ///
    /// # Safety
    ///
    /// An element of the owner must have been seen live under the guard, or the caller must have a
    /// reference to the owner. The notice of death ends all elements before it returns. So it had
    /// not returned when the guard was taken, though it may have begun. Implementations may read
    /// what stays valid until a grace period after the notice of death has returned, and as long as
    /// there is a reference.
    pub(crate) number_of: unsafe fn(OwnerId, &Guard) -> u64,
    /// What CPUs that have no reference to an owner change in its memory.
    pub(crate) visits: Visits,
}

/// What a CPU without a reference to an owner changes in the owner's memory, as a visitor: see
/// [`Charge`](super::charge::Charge).
#[derive(Copy, Clone, Default)]
pub(crate) enum Visits {
    /// Nothing: owners of this kind are not charged, and have no [`Hints`].
    #[default]
    Nothing,
    /// Takes bytes off what [`Owner::charge`] charged. Any context.
    ///
    /// # Safety
    ///
    /// The owner's notice of death must not have returned, and it must not return before this
    /// function does. As many bytes must be charged to the owner.
    Charge(unsafe fn(OwnerId, u32)),
    /// Returns what [`Owner::hints`] does. Any context.
    ///
    /// # Safety
    ///
    /// The owner's notice of death must not have returned, and it must not return before the last
    /// use of the result.
    Hints(unsafe fn(OwnerId) -> NonNull<Hints>),
}

/// An object that values can be attached to.
///
/// # Safety
///
/// Implementers must ensure:
///
/// - While an [`Owner::Gate`] exists, the notice of death of the owner has not begun. It does not
///   begin before the gate is dropped and the RCU guard that it came from is released.
/// - Once [`Owner::gate`] has returned [`Refusal::OwnerDead`] for an owner, it always does.
/// - If [`Owner::gate`] has ever returned a gate for an owner, [`Runtime::owner_died`] is called
///   for that owner, once or more, before the owner's memory is reused.
/// - The functions of [`Owner::ops`] are sound to call if the safety requirements that [`OwnerOps`]
///   documents are met.
///
/// [`Runtime::owner_died`]: super::runtime::Runtime::owner_died
pub(crate) unsafe trait Owner {
    /// Proof that the owner is alive. The creator holds it while it links an element.
    type Gate<'a>
    where
        Self: 'a;

    /// What the owner has in common with the others of its kind.
    fn ops(&self) -> &'static OwnerOps;

    /// The identity. Any context.
    ///
    /// It does not change once [`Owner::gate`] has returned a gate. Before, it may also be an
    /// identity that no element was ever stored under.
    fn id(&self) -> OwnerId;

    /// Returns a gate, which allows the caller to link elements of the owner. Refuses with
    /// [`Refusal::OwnerDead`] if the owner is dead or dying, and with [`Refusal::Unsupported`] if
    /// no notice would come of its death. Any context.
    fn gate<'a>(&'a self, rcu: &'a Guard) -> Result<Self::Gate<'a>, Refusal>;

    /// The memory cgroup that pays for memory allocated for the owner. Any context.
    fn payer<'a>(&self, _rcu: &'a Guard) -> Payer<'a> {
        Payer::NONE
    }

    /// The hints in the owner's memory, if owners of this kind have [`Visits::Hints`].
    #[inline(always)]
    fn hints(&self) -> Option<&Hints> {
        None
    }

    /// Charges `bytes` to the owner. Returns false, and charges nothing, if that would exceed a
    /// limit of the owner. Any context. Called only while a gate is held, and only if owners of
    /// this kind have [`Visits::Charge`].
    fn charge(&self, _bytes: u32) -> bool {
        true
    }
}
