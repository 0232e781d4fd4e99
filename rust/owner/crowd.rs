// SPDX-License-Identifier: GPL-2.0

//! Owners for tests, by the million: they die one after another, but one grace period does for all.

use crate::{
    storage::{
        error::Refusal,
        owner::{
            Owner,
            OwnerId,
            OwnerOps, //
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
use core::ptr;
use kernel::prelude::*;

static OPS: OwnerOps = OwnerOps {
    kind: 0,
    number_of: |id, _| id.addr() as u64,
    uncharge: Some(uncharge),
};

/// What one of the crowd is.
struct Place {
    /// Bytes that it is charged.
    charged: Atomic<u32>,
    /// How many of its values were dropped.
    dropped: Atomic<u32>,
}

/// The crowd. Who is still alive when it is dropped dies then; that may sleep.
pub(crate) struct Crowd {
    alive: Atomic<bool>,
    places: KVVec<Place>,
}

impl Crowd {
    /// A crowd of `count`. May sleep.
    pub(crate) fn new(count: usize) -> Result<Self> {
        let mut places = KVVec::with_capacity(count, GFP_KERNEL)?;
        for _ in 0..count {
            let place = Place {
                charged: Atomic::new(0),
                dropped: Atomic::new(0),
            };
            places.push(place, GFP_KERNEL)?;
        }
        Ok(Self {
            alive: Atomic::new(true),
            places,
        })
    }

    /// The owners, in order.
    pub(crate) fn members(&self) -> impl Iterator<Item = Member<'_>> {
        let alive = &self.alive;
        self.places.iter().map(move |place| Member { alive, place })
    }

    /// Lets no element be linked any more, and waits for who was let through before. May sleep.
    pub(crate) fn doom(&self) -> Doomed<'_> {
        self.alive.store(false, Relaxed);
        rcu::synchronize_rcu();
        Doomed(self)
    }

    /// Notes that a value of member number `n` was dropped.
    pub(crate) fn value_dropped(&self, n: usize) {
        if let Some(place) = self.places.get(n) {
            place.dropped.add(1, Relaxed);
        }
    }

    /// How many members have had one value dropped, neither more nor less.
    pub(crate) fn dropped_once(&self) -> usize {
        let once = |place: &&Place| place.dropped.load(Relaxed) == 1;
        self.places.iter().filter(once).count()
    }

    /// Bytes that are charged to all of them.
    pub(crate) fn charged(&self) -> u64 {
        let charged = |place: &Place| u64::from(place.charged.load(Relaxed));
        self.places.iter().map(charged).sum()
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.doom().deaths().for_each(drop);
    }
}

/// A crowd whose members can die.
pub(crate) struct Doomed<'a>(&'a Crowd);

impl<'a> Doomed<'a> {
    /// Lets the next one die at each step: whether it had storage. Dying again does nothing.
    pub(crate) fn deaths(self) -> impl Iterator<Item = bool> + use<'a> {
        self.0.members().map(|member| {
            Runtime::get().is_some_and(|runtime| {
                // SAFETY: The member's notice of death: who is doomed has let nobody through since
                // a grace period.
                unsafe { runtime.owner_died(member.id()) }
            })
        })
    }
}

/// One of the crowd.
pub(crate) struct Member<'a> {
    alive: &'a Atomic<bool>,
    place: &'a Place,
}

/// # Safety
///
/// As [`OwnerOps::uncharge`].
unsafe fn uncharge(id: OwnerId, bytes: u32) {
    let place = ptr::with_exposed_provenance::<Place>(id.addr());
    // SAFETY: The drop of the crowd is a notice of death for each of its places.
    unsafe { &*place }.charged.fetch_sub(bytes, Full);
}

// SAFETY: The gate is the RCU read section that saw the crowd alive, and its notices of death come
// a grace period after it was doomed, for good. All have come when its memory goes.
unsafe impl Owner for Member<'_> {
    type Gate<'a>
        = &'a Guard
    where
        Self: 'a;

    fn ops(&self) -> &'static OwnerOps {
        &OPS
    }

    fn id(&self) -> OwnerId {
        OwnerId::new(self.place, &OPS, 0)
    }

    fn gate<'a>(&'a self, rcu: &'a Guard) -> Result<&'a Guard, Refusal> {
        if self.alive.load(Relaxed) {
            Ok(rcu)
        } else {
            Err(Refusal::OwnerDead)
        }
    }

    fn charge(&self, bytes: u32) -> bool {
        self.place.charged.fetch_add(bytes, Full);
        true
    }
}
