// SPDX-License-Identifier: GPL-2.0

//! What an owner is charged for its elements, and how it gets that back.
//!
//! An element is charged when it is linked and no longer when it has been claimed, whatever becomes
//! of its unlinking. Who creates or deletes has the owner at hand. The end of a map has not: the
//! owner may be dying at the same time, on another CPU, and its memory be gone when the notice of
//! death returns. So whoever gives back registers in a word that the notice closes.
//!
//! The notice takes back what is left in one go and touches nothing after that. If it meets a
//! visitor between its two steps, it waits for it. That is no lock holder that it waits for: a
//! visit is a handful of instructions, with interrupts off, that calls nothing and takes nothing.
//! There is no way around it as long as the owner is memory that goes when the notice returns,
//! except to leave closed maps charged to owners that live.

use super::{
    owner::{
        OwnerId,
        OwnerOps, //
    },
    stats::Stats, //
};
use crate::sync::{
    cpu_relax,
    fault::{
        self,
        Site, //
    },
    irq::with_irqs_off,
    Acquire,
    Atomic,
    Full,
    Relaxed,
    Release, //
};

/// What one storage has charged to its owner.
///
/// | bits     | meaning                                            | who changes them             |
/// |----------|----------------------------------------------------|------------------------------|
/// | 0 to 31  | bytes that are charged                             | who charges, and visitors    |
/// | 32 to 47 | visitors: CPUs that are giving bytes back          | visitors                     |
/// | 63       | ended: what was charged is given back; no visitors | the notice of death, once    |
///
/// `ended` and a new visitor exclude each other, since both come by one exchange of the word.
pub(super) struct Charge(Atomic<u64>);

const VISITOR: u64 = 1 << 32;
const VISITORS: u64 = 0xffff << 32;
const ENDED: u64 = 1 << 63;

impl Charge {
    /// Nothing is charged.
    pub(super) const fn none() -> Self {
        Self(Atomic::new(0))
    }

    /// Notes `bytes` that were charged to an owner whose gate is held.
    pub(super) fn add(&self, bytes: u32, stats: &Stats) {
        fault::pause(Site::ChargeAdd);
        stats.this_cpu().charged.add(bytes.into());
        self.0.add(bytes.into(), Relaxed);
    }

    /// Gives `bytes` back, unless the owner's death has. Any context.
    ///
    /// # Safety
    ///
    /// The storage must be live in the index of owners, or the owner known to be alive: so that the
    /// notice of death comes here before it is over.
    pub(super) unsafe fn give_back(&self, id: OwnerId, ops: &OwnerOps, bytes: u32, stats: &Stats) {
        let Some(uncharge) = ops.uncharge else {
            return;
        };
        // The notice may run in an interrupt, where it must not meet a visitor of its own CPU.
        with_irqs_off(|| {
            if self.enter(bytes) {
                fault::pause(Site::ChargeVisit);
                // SAFETY: A notice that comes now waits until we have left.
                unsafe { uncharge(id, bytes) };
                self.0.fetch_sub(VISITOR, Release);
                stats.this_cpu().charged.sub(bytes.into());
            }
        });
    }

    /// Takes `bytes` off the word and registers a visitor; false if it has ended.
    fn enter(&self, bytes: u32) -> bool {
        let mut word = self.0.load(Relaxed);
        while word & ENDED == 0 {
            let visited = word - u64::from(bytes) + VISITOR;
            match self.0.cmpxchg(word, visited, Full) {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
        false
    }

    /// The owner dies: gives all back. When this returns, the owner is not touched again.
    ///
    /// # Safety
    ///
    /// Called by the notice of death of the owner `id`.
    pub(super) unsafe fn end(&self, id: OwnerId, ops: &OwnerOps, stats: &Stats) {
        let Some(uncharge) = ops.uncharge else {
            return;
        };
        fault::pause(Site::ChargeEnd);
        if let Some(left) = self.close() {
            // SAFETY: The notice of death is not over.
            unsafe { uncharge(id, left) };
            stats.this_cpu().charged.sub(left.into());
        }
        while self.0.load(Acquire) & VISITORS != 0 {
            cpu_relax();
        }
    }

    /// The owner is gone and nobody told: there is nobody to give anything back to.
    pub(super) fn abandon(&self, stats: &Stats) {
        if let Some(left) = self.close() {
            stats.this_cpu().charged.sub(left.into());
        }
    }

    /// Ends it and returns the bytes that were left, if this call did it.
    fn close(&self) -> Option<u32> {
        let mut word = self.0.load(Relaxed);
        while word & ENDED == 0 {
            match self.0.cmpxchg(word, word | ENDED, Full) {
                Ok(_) => return Some(word as u32),
                Err(now) => word = now,
            }
        }
        None
    }
}

/// Whether an element is charged to its owner.
///
/// | state  | meaning                               | who changes it, and to what                 |
/// |--------|---------------------------------------|---------------------------------------------|
/// | unpaid | not charged                           | its creator, to paid; the claimer, to taken |
/// | paid   | charged                               | the claimer, to taken                       |
/// | taken  | claimed; its charge, if any, is taken | nobody                                      |
///
/// An update hands the old element's charge on to the new one, which can be found, and claimed,
/// before that: so both sides exchange.
pub(super) struct Paid(Atomic<u32>);

const UNPAID: u32 = 0;
const PAID: u32 = 1;
const TAKEN: u32 = 2;

impl Paid {
    /// Of a new element.
    pub(super) const fn no() -> Self {
        Self(Atomic::new(UNPAID))
    }

    /// Charges the element, which nobody else can find yet.
    pub(super) fn start(&self) {
        self.0.store(PAID, Relaxed);
    }

    /// Hands a charge to the element; false if somebody has claimed it, and the caller keeps it.
    pub(super) fn give(&self) -> bool {
        fault::pause(Site::PaidGive);
        self.0.cmpxchg(UNPAID, PAID, Full).is_ok()
    }

    /// The claimer takes the charge; false if there is none.
    pub(super) fn take(&self) -> bool {
        fault::pause(Site::PaidTake);
        self.0.xchg(TAKEN, Full) == PAID
    }
}
