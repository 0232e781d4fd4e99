// SPDX-License-Identifier: GPL-2.0

//! An owner and a value that keep count.

use crate::{
    storage::{
        error::Refusal,
        map::Map,
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
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// An owner that dies when it is told to, or when it is dropped.
pub(super) struct Mock {
    serial: u64,
    alive: Atomic<bool>,
    /// Bytes that are charged, and the most that may be; [`None`] if it is not charged.
    charged: Atomic<u32>,
    limit: Option<u32>,
}

static FREE: OwnerOps = OwnerOps {
    kind: 0,
    number_of: |id, _| id.serial(),
    uncharge: None,
};

static CHARGED: OwnerOps = OwnerOps {
    kind: 15,
    number_of: |id, _| id.serial(),
    uncharge: Some(Mock::uncharge),
};

impl Mock {
    pub(super) fn new(serial: u64) -> Result<KBox<Self>> {
        Self::with_limit(serial, None)
    }

    /// One that is charged up to `limit` bytes.
    pub(super) fn charged(serial: u64, limit: u32) -> Result<KBox<Self>> {
        Self::with_limit(serial, Some(limit))
    }

    fn with_limit(serial: u64, limit: Option<u32>) -> Result<KBox<Self>> {
        let mock = Self {
            serial,
            alive: Atomic::new(true),
            charged: Atomic::new(0),
            limit,
        };
        Ok(KBox::new(mock, GFP_KERNEL)?)
    }

    /// Bytes that are charged.
    pub(super) fn charge_now(&self) -> u32 {
        self.charged.load(Relaxed)
    }

    /// Sets the limit.
    pub(super) fn set_limit(&mut self, limit: u32) {
        self.limit = Some(limit);
    }

    /// # Safety
    ///
    /// As [`OwnerOps::uncharge`].
    unsafe fn uncharge(id: OwnerId, bytes: u32) {
        let mock = ptr::with_exposed_provenance::<Mock>(id.addr());
        // SAFETY: A mock stays until its notice of death is over.
        unsafe { &*mock }.charged.fetch_sub(bytes, Full);
    }

    /// Lets nobody through any more, and waits for who was let through before.
    pub(super) fn end(&self) {
        self.alive.store(false, Relaxed);
        rcu::synchronize_rcu();
    }

    /// Dies as a task does: whoever was let through is done before the notice comes.
    pub(super) fn die(&self) -> bool {
        self.end();
        Runtime::get().is_some_and(|runtime| {
            // SAFETY: The mock's notice of death.
            unsafe { runtime.owner_died(self.id()) }
        })
    }

    /// The memory is used again, by another owner; nobody was told.
    pub(super) fn become_another(&mut self) {
        self.serial += 1;
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

    fn ops(&self) -> &'static OwnerOps {
        if self.limit.is_some() {
            &CHARGED
        } else {
            &FREE
        }
    }

    fn id(&self) -> OwnerId {
        OwnerId::new(self, self.ops(), self.serial)
    }

    fn gate<'a>(&'a self, rcu: &'a Guard) -> Result<&'a Guard, Refusal> {
        if self.alive.load(Relaxed) {
            Ok(rcu)
        } else {
            Err(Refusal::OwnerDead)
        }
    }

    fn charge(&self, bytes: u32) -> bool {
        let limit = self.limit.unwrap_or(0);
        let mut now = self.charged.load(Relaxed);
        while now + bytes <= limit {
            match self.charged.cmpxchg(now, now + bytes, Full) {
                Ok(_) => return true,
                Err(other) => now = other,
            }
        }
        false
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
            crate::sync::deferred::sleep_10ms();
        }
        false
    }
}

impl Clone for Value {
    fn clone(&self) -> Self {
        self.tally.value(self.number)
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

    /// With a map that clones.
    pub(super) fn cloning() -> Result<Self> {
        Ok(Self {
            map: Map::new_cloning()?,
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
        self.map.raw().counters().elements()
    }
}
