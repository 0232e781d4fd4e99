// SPDX-License-Identifier: GPL-2.0

//! The mock owner of KUnit and of the models, which both include this file.
//!
//! Beside it stands a module `mock` with what differs: the type `Place`, which says where an owner
//! is and checks each access to it, and `check()`, which reports what must not be.

use super::mock::{
    check,
    Place, //
};
use crate::{
    storage::{
        error::Refusal,
        hints::Hints,
        owner::{
            Owner,
            OwnerId,
            OwnerOps,
            Visits, //
        },
        runtime::Runtime, //
    },
    sync::{
        rcu::{
            self,
            Guard, //
        },
        Atomic,
        Full,
        Relaxed, //
    },
};
use core::{
    cell::Cell,
    ptr::NonNull, //
};

/// An owner that a test makes and ends.
///
/// | `alive` | notice of death | state                                                     |
/// |---------|-----------------|-----------------------------------------------------------|
/// | true    | has not begun   | the gate lets creators through                            |
/// | false   | has not begun   | the gate refuses; creators that it let through may be at  |
/// |         |                 | work for a grace period more                              |
/// | false   | has begun       | the storage ends the owner's elements; it takes off the   |
/// |         |                 | last charge before the notice is over                     |
/// | false   | is over         | the storage must not touch the owner any more             |
pub(crate) struct Mock {
    pub(super) place: Place,
    serial: u64,
    alive: Atomic<bool>,
    /// Bytes that are charged.
    charged: Atomic<u32>,
    /// Most bytes that may be charged; [`None`] if the owner is not charged at all.
    pub(super) limit: Cell<Option<u32>>,
    /// Whether lookups by the owner use `hints`. It is not charged then.
    pub(super) has_hints: Cell<bool>,
    hints: Hints,
}

// SAFETY: `limit` and `has_hints` alone keep the type from being `Sync`. A test sets them while no
// other thread uses the owner.
unsafe impl Sync for Mock {}

static UNCHARGED_OPS: OwnerOps = OwnerOps {
    kind: 0,
    number_of: Mock::number_of,
    visits: Visits::Nothing,
};

static HINTED_OPS: OwnerOps = OwnerOps {
    kind: 14,
    number_of: Mock::number_of,
    visits: Visits::Hints(Mock::hints_of),
};

static CHARGED_OPS: OwnerOps = OwnerOps {
    kind: 15,
    number_of: Mock::number_of,
    visits: Visits::Charge(Mock::uncharge),
};

impl Mock {
    /// A live owner at `place`. No other one there may have its `serial`.
    pub(super) fn at(place: Place, serial: u64, limit: Option<u32>) -> Self {
        Self {
            place,
            serial,
            alive: Atomic::new(true),
            charged: Atomic::new(0),
            limit: Cell::new(limit),
            has_hints: Cell::new(false),
            hints: Hints::new(),
        }
    }

    /// Whether the gate lets creators through.
    pub(crate) fn is_alive(&self) -> bool {
        self.alive.load(Relaxed)
    }

    /// Bytes that are charged.
    pub(crate) fn charge_now(&self) -> u32 {
        self.charged.load(Relaxed)
    }

    /// Lets the gate refuse from now on. Does not wait for the creators that it let through.
    pub(crate) fn close_gate(&self) {
        self.alive.store(false, Relaxed);
    }

    /// Lets the gate refuse, and waits for the creators that it let through.
    pub(crate) fn leave(&self) {
        self.close_gate();
        rcu::synchronize_rcu();
    }

    /// Gives the notice of death, at least a grace period after [`Mock::close_gate`]. Returns
    /// whether the owner had a storage.
    pub(crate) fn notice(&self) -> bool {
        self.place.notice_begins();
        self.hints.end();
        // SAFETY: The gate has let no creator through since a grace period, and `Place` says that
        // the memory stays until the notice is over.
        let had = Runtime::get().is_some_and(|runtime| unsafe { runtime.owner_died(self.id()) });
        let left = self.charged.fetch_add(0, Full);
        self.place.notice_is_over();
        check(left == 0, "the notice of death leaves a charge");
        had
    }

    /// Dies as a task does. Returns whether the owner had a storage.
    pub(crate) fn die(&self) -> bool {
        self.leave();
        self.notice()
    }

    /// # Safety
    ///
    /// As [`OwnerOps::number_of`].
    unsafe fn number_of(id: OwnerId, _rcu: &Guard) -> u64 {
        Place::check_number(id);
        id.serial()
    }

    /// # Safety
    ///
    /// As [`Visits::Hints`].
    unsafe fn hints_of(id: OwnerId) -> NonNull<Hints> {
        // SAFETY: The owner's notice of death is not over, by the contract.
        let mock = unsafe { Place::owner(id) };
        mock.place
            .check_not_gone("a hint of a dead owner is changed");
        NonNull::from(&mock.hints)
    }

    /// # Safety
    ///
    /// As [`Visits::Charge`].
    unsafe fn uncharge(id: OwnerId, bytes: u32) {
        // SAFETY: The owner's notice of death is not over, by the contract.
        let mock = unsafe { Place::owner(id) };
        let before = mock.charged.fetch_sub(bytes, Full);
        mock.place
            .check_not_gone("bytes are taken off a dead owner");
        check(before >= bytes, "more is taken off than was charged");
    }
}

// SAFETY:
// - The gate is the RCU read section that saw the owner alive. `notice` comes a grace period after
//   that ended.
// - No function sets `alive` again.
// - A test gives the notice of death of each owner before its memory is used again.
// - `number_of` reads no memory of the owner; `uncharge` and `hints_of` do so before the notice is
//   over.
unsafe impl Owner for Mock {
    type Gate<'a> = &'a Guard;

    fn ops(&self) -> &'static OwnerOps {
        match self.limit.get() {
            _ if self.has_hints.get() => &HINTED_OPS,
            Some(_) => &CHARGED_OPS,
            None => &UNCHARGED_OPS,
        }
    }

    fn id(&self) -> OwnerId {
        OwnerId::new(Place::object(self), self.ops().kind, self.serial)
    }

    fn gate<'a>(&'a self, rcu: &'a Guard) -> Result<&'a Guard, Refusal> {
        if self.is_alive() {
            Ok(rcu)
        } else {
            Err(Refusal::OwnerDead)
        }
    }

    fn hints(&self) -> Option<&Hints> {
        self.has_hints.get().then_some(&self.hints)
    }

    fn charge(&self, bytes: u32) -> bool {
        let limit = self.limit.get().unwrap_or(0);
        let mut now = self.charged.load(Relaxed);
        while now + bytes <= limit {
            match self.charged.cmpxchg(now, now + bytes, Full) {
                Ok(_) => {
                    self.place.check_not_gone("a dead owner is charged");
                    return true;
                }
                Err(other) => now = other,
            }
        }
        false
    }
}
