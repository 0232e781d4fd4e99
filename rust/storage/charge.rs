// SPDX-License-Identifier: GPL-2.0

//! What an owner is charged for its elements, and how the charge is given back.
//!
//! The elements of an owner with hints are not charged. CPUs that change its hints register here as
//! those do that give a charge back.
//!
//! An element is charged when it is linked. The charge is given back when the element is claimed,
//! even if the locks defer its unlinking. A create or delete has a reference to the owner. The end
//! of a map has none: the owner may die at the same time on another CPU, and its memory may be
//! reused as soon as the notice of death has returned. So a CPU that gives a charge back registers
//! as a visitor, in a word that the notice of death closes.
//!
//! The notice of death closes the word and gives back what is left, and then waits for the visitors
//! that it found. It waits for no lock holder: a visit takes a few instructions with interrupts
//! off, calls nothing that can block, and takes no lock. The alternative would be to leave elements
//! of closed maps charged to owners that are alive.

use super::{
    owner::{
        OwnerId,
        OwnerOps,
        Visits, //
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

/// What one storage has charged to its owner, and which CPUs change the owner's memory.
///
/// | bits     | meaning                                | changed by                            |
/// |----------|----------------------------------------|---------------------------------------|
/// | 0 to 31  | bytes that are charged                 | creators and visitors                 |
/// | 32 to 47 | visitors: CPUs that give a charge      | visitors                              |
/// |          | back, or change a hint                 |                                       |
/// | 63       | ended: no visitor may enter any more   | once, by the notice of death, or by a |
/// |          |                                        | CPU that finds the memory reused      |
///
/// A visitor enters, and the word ends, by one compare and exchange each. So no visitor enters a
/// word that has ended.
pub(super) struct Charge(Atomic<u64>);

const VISITOR: u64 = 1 << 32;
const VISITORS: u64 = 0xffff << 32;
const ENDED: u64 = 1 << 63;

impl Charge {
    /// Nothing is charged.
    pub(super) const fn none() -> Self {
        Self(Atomic::new(0))
    }

    /// Records `bytes` that the caller has charged to the owner, whose gate it holds.
    pub(super) fn add(&self, bytes: u32, stats: &Stats) {
        fault::pause(Site::ChargeAdd);
        stats.this_cpu().charged.add(bytes.into());
        self.0.add(bytes.into(), Relaxed);
    }

    /// Gives `bytes` back to the owner, unless its notice of death has done so. Any context.
    ///
    /// # Safety
    ///
    /// Either the caller has seen the storage live in the owner index under its RCU guard, or it
    /// has a reference to the owner. So the notice of death comes to this word before it returns.
    /// `uncharge` must be that of the owner's [`Visits`].
    #[inline(never)]
    pub(super) unsafe fn give_back(
        &self,
        id: OwnerId,
        uncharge: unsafe fn(OwnerId, u32),
        bytes: u32,
        stats: &Stats,
    ) {
        self.visit(bytes, || {
            // SAFETY: A notice of death waits in `end()` until this visitor has left, and has not
            // returned.
            unsafe { uncharge(id, bytes) };
            stats.this_cpu().charged.sub(bytes.into());
        });
    }

    /// Takes `bytes` off the word, and calls `visit` as a visitor, unless the word has ended. Any
    /// context. `visit` must be short, and take no lock.
    ///
    /// If the caller has seen the storage live in the owner index under its RCU guard, or has a
    /// reference to the owner, the notice of death does not return during the call.
    pub(super) fn visit(&self, bytes: u32, visit: impl FnOnce()) {
        // The notice of death may run in an interrupt. There it must not wait for a visitor on its
        // own CPU.
        with_irqs_off(|| {
            if self.enter(bytes) {
                fault::pause(Site::ChargeVisit);
                visit();
                self.0.fetch_sub(VISITOR, Release);
            }
        });
    }

    /// Takes `bytes` off the word and registers a visitor. Returns false, and does nothing, if the
    /// word has ended.
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

    /// Gives back all that is charged, since the owner dies. Once this has returned, no CPU
    /// accesses the owner.
    ///
    /// # Safety
    ///
    /// To be called by the notice of death of the owner `id` only.
    pub(super) unsafe fn end(&self, id: OwnerId, ops: &OwnerOps, stats: &Stats) {
        if matches!(ops.visits, Visits::Nothing) {
            return;
        }
        fault::pause(Site::ChargeEnd);
        if let (Some(left), Visits::Charge(uncharge)) = (self.close(), ops.visits) {
            // SAFETY: The caller is the notice of death, so that has not returned. `left` bytes are
            // charged.
            unsafe { uncharge(id, left) };
            stats.this_cpu().charged.sub(left.into());
        }
        while self.0.load(Acquire) & VISITORS != 0 {
            cpu_relax();
        }
    }

    /// Forgets what is charged. The owner's memory was reused without a notice of death, so there
    /// is no owner to give the charge back to.
    pub(super) fn abandon(&self, stats: &Stats) {
        if let Some(left) = self.close() {
            stats.this_cpu().charged.sub(left.into());
        }
    }

    /// Ends the word. Returns the bytes that were charged, or [`None`] if the word had ended
    /// already.
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
/// | state  | meaning                     | changed by, and to                          |
/// |--------|-----------------------------|---------------------------------------------|
/// | unpaid | not charged                 | the creator, to paid; the claimer, to taken |
/// | paid   | charged                     | the claimer, to taken                       |
/// | taken  | claimed; a charge was taken | no CPU                                      |
///
/// An update hands the charge of the old element to the new one. At that time other CPUs can
/// already find and claim the new one. So both sides change the word by an exchange.
pub(super) struct Paid(Atomic<u32>);

const UNPAID: u32 = 0;
const PAID: u32 = 1;
const TAKEN: u32 = 2;

impl Paid {
    /// The state of a new element.
    pub(super) const fn no() -> Self {
        Self(Atomic::new(UNPAID))
    }

    /// Marks the element as paid. No other CPU can find it yet.
    pub(super) fn start(&self) {
        self.0.store(PAID, Relaxed);
    }

    /// Hands a charge to the element. Returns false if the element was claimed; the caller then
    /// keeps the charge.
    pub(super) fn give(&self) -> bool {
        fault::pause(Site::PaidGive);
        self.0.cmpxchg(UNPAID, PAID, Full).is_ok()
    }

    /// Takes the charge of an element that the caller has claimed. Returns false if there is none.
    pub(super) fn take(&self) -> bool {
        fault::pause(Site::PaidTake);
        self.0.xchg(TAKEN, Full) == PAID
    }
}
