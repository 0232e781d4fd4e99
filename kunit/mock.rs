// SPDX-License-Identifier: GPL-2.0

//! An owner and a value that keep count.

use crate::{
    storage::{
        map::Map,
        owner::{
            Label,
            Owner,
            OwnerId, //
        },
        runtime::Runtime, //
    },
    sync::{
        rcu::{
            self,
            Guard, //
        },
        Atomic, Relaxed,
    },
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// An owner that dies when it is told to, or when it is dropped.
pub(super) struct Mock {
    stamp: u64,
    alive: Atomic<bool>,
}

impl Mock {
    pub(super) fn new(stamp: u64) -> Result<KBox<Self>> {
        let mock = Self {
            stamp,
            alive: Atomic::new(true),
        };
        Ok(KBox::new(mock, GFP_KERNEL)?)
    }

    /// Dies as a task does: whoever was let through is done before the notice comes.
    pub(super) fn die(&self) -> bool {
        self.alive.store(false, Relaxed);
        rcu::synchronize_rcu();
        Runtime::get().is_some_and(|runtime| runtime.owner_died(self.id()))
    }

    /// The memory is used again, by another owner; nobody was told.
    pub(super) fn become_another(&mut self) {
        self.stamp += 1;
        *self.alive.get_mut() = true;
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        self.die();
    }
}

// SAFETY: The gate is the RCU read section that saw the owner alive, and `die` lets a grace period
// pass before the notice. Nothing makes a dead mock alive but exclusive access.
unsafe impl Owner for Mock {
    type Gate<'a> = &'a Guard;

    fn id(&self) -> OwnerId {
        OwnerId::new(self, self.stamp)
    }

    unsafe fn label(id: OwnerId, _rcu: &Guard) -> Label {
        Label {
            kind: 0,
            id: id.stamp(),
        }
    }

    fn gate<'a>(&'a self, rcu: &'a Guard) -> Option<&'a Guard> {
        self.alive.load(Relaxed).then_some(rcu)
    }
}

/// How many values were made and dropped.
#[derive(Clone)]
pub(super) struct Tally(Arc<[Atomic<u64>; 2]>);

impl Tally {
    pub(super) fn new() -> Result<Self> {
        let counts = Arc::new([Atomic::new(0), Atomic::new(0)], GFP_KERNEL)?;
        Ok(Self(counts))
    }

    /// A value that counts.
    pub(super) fn value(&self, number: u64) -> Value {
        self.0[0].add(1, Relaxed);
        Value {
            number,
            tally: self.clone(),
        }
    }

    /// Values made.
    pub(super) fn made(&self) -> u64 {
        self.0[0].load(Relaxed)
    }

    /// Values dropped.
    pub(super) fn dropped(&self) -> u64 {
        self.0[1].load(Relaxed)
    }

    /// Waits until all values but `left` are dropped, a second at most.
    pub(super) fn wait_for(&self, left: u64) -> bool {
        for _ in 0..100 {
            if self.made() - self.dropped() == left {
                return true;
            }
            crate::sync::deferred::pause();
        }
        false
    }
}

/// A value that counts.
pub(super) struct Value {
    pub(super) number: u64,
    tally: Tally,
}

impl Drop for Value {
    fn drop(&mut self) {
        self.tally.0[1].add(1, Relaxed);
    }
}

/// A map of such values and its tally.
pub(super) struct Fixture {
    pub(super) map: Map<Value>,
    pub(super) tally: Tally,
}

impl Fixture {
    pub(super) fn new() -> Result<Self> {
        Ok(Self {
            map: Map::new()?,
            tally: Tally::new()?,
        })
    }

    /// The number of the owner's value.
    pub(super) fn number(&self, owner: &Mock) -> Option<u64> {
        Some(self.map.get(owner, &rcu::read_lock())?.number)
    }

    /// Gets or creates, and returns the number of the value that is stored then.
    pub(super) fn create(&self, owner: &Mock, number: u64) -> Result<u64> {
        let rcu = rcu::read_lock();
        let new = || self.tally.value(number);
        Ok(self.map.get_or_create(owner, new, &rcu)?.value.number)
    }

    /// Live elements of the map.
    pub(super) fn elements(&self) -> u64 {
        self.map.raw().counters().elements.get()
    }
}
