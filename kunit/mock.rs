// SPDX-License-Identifier: GPL-2.0

//! What the suites share: mock owners, values that count their drops, and a map of those.

use crate::{
    storage::{
        map::Map,
        owner::OwnerId, //
    },
    sync::{
        counter::Counter,
        deferred,
        rcu, //
    },
};
use core::ptr;
use kernel::{
    prelude::*,
    sync::Arc,
    warn_on, //
};

pub(crate) use super::mock_owner::Mock;

/// Where a mock owner is: at its own address. Its drop gives the notice of death, so that the
/// memory stays until that is over.
pub(crate) struct Place;

impl Place {
    /// The owner's address.
    pub(crate) fn object(mock: &Mock) -> *const Mock {
        mock
    }

    /// The owner of an identity.
    ///
    /// # Safety
    ///
    /// The owner's notice of death must not be over while the reference is used.
    pub(crate) unsafe fn owner<'a>(id: OwnerId) -> &'a Mock {
        // SAFETY: The owner is at that address until its drop, which waits for the notice of death.
        unsafe { &*ptr::with_exposed_provenance(id.addr()) }
    }

    // KASAN sees what is used too late.

    /// Nothing.
    pub(crate) fn notice_begins(&self) {}

    /// Nothing.
    pub(crate) fn notice_is_over(&self) {}

    /// Nothing.
    pub(crate) fn check_not_gone(&self, _what: &str) {}

    /// Nothing.
    pub(crate) fn check_number(_id: OwnerId) {}
}

/// Warns if `is_right` is false, which fails the run: an assertion ends its thread, and this may be
/// a thread of the module.
pub(crate) fn check(is_right: bool, what: &str) {
    if !is_right {
        pr_err!("{what}\n");
        warn_on!(true);
    }
}

impl Mock {
    /// An owner that is not charged.
    pub(crate) fn new(serial: u64) -> Result<KBox<Self>> {
        Ok(KBox::new(Self::at(Place, serial, None), GFP_KERNEL)?)
    }

    /// An owner that is charged up to `limit` bytes.
    pub(crate) fn charged(serial: u64, limit: u32) -> Result<KBox<Self>> {
        Ok(KBox::new(Self::at(Place, serial, Some(limit)), GFP_KERNEL)?)
    }

    /// Owners that are charged, `count` of them.
    pub(crate) fn many(count: usize) -> Result<KVVec<Self>> {
        let mut mocks = KVVec::with_capacity(count, GFP_KERNEL)?;
        for serial in 0..count as u64 {
            mocks.push(Self::at(Place, serial, Some(u32::MAX)), GFP_KERNEL)?;
        }
        Ok(mocks)
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        if self.is_alive() {
            self.leave();
        }
        self.notice();
    }
}

/// How many values were made and dropped.
#[derive(Clone)]
pub(super) struct ValueCounts(Arc<Counts>);

#[derive(Default)]
struct Counts {
    made: Counter,
    dropped: Counter,
}

impl ValueCounts {
    pub(super) fn new() -> Result<Self> {
        Ok(Self(Arc::new(Counts::default(), GFP_KERNEL)?))
    }

    /// Makes a value, which counts its drop here.
    pub(super) fn value(&self, number: u64) -> Value {
        self.0.made.add(1);
        Value {
            number,
            counts: self.clone(),
        }
    }

    /// Values made.
    pub(super) fn made(&self) -> u64 {
        self.0.made.get()
    }

    /// Values dropped.
    pub(super) fn dropped(&self) -> u64 {
        self.0.dropped.get()
    }

    /// Waits a second at most until all values but `left` are dropped. Returns whether they are.
    pub(super) fn wait_for(&self, left: u64) -> bool {
        for _ in 0..100 {
            if self.made() - self.dropped() == left {
                return true;
            }
            deferred::sleep_10ms();
        }
        false
    }
}

/// A value that counts its drop.
pub(super) struct Value {
    pub(super) number: u64,
    counts: ValueCounts,
}

impl Clone for Value {
    fn clone(&self) -> Self {
        self.counts.value(self.number)
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        self.counts.0.dropped.add(1);
    }
}

/// A map of values that count their drops.
pub(super) struct Fixture {
    pub(super) map: Map<Value>,
    pub(super) values: ValueCounts,
}

impl Fixture {
    pub(super) fn new() -> Result<Self> {
        Ok(Self {
            map: Map::new()?,
            values: ValueCounts::new()?,
        })
    }

    /// With a map whose values accepted sockets inherit.
    pub(super) fn cloning() -> Result<Self> {
        Ok(Self {
            map: Map::new_cloning()?,
            values: ValueCounts::new()?,
        })
    }

    /// The number of the owner's value.
    pub(super) fn number(&self, owner: &Mock) -> Option<u64> {
        Some(self.map.get(owner, &rcu::read_lock())?.number)
    }

    /// Gets or creates the owner's value. Returns the number of the value that is stored then.
    pub(super) fn create(&self, owner: &Mock, number: u64) -> Result<u64> {
        let rcu = rcu::read_lock();
        let new = || self.values.value(number);
        Ok(self.map.get_or_create(owner, new, &rcu)?.value.number)
    }

    /// Live elements of the map.
    pub(super) fn elements(&self) -> u64 {
        self.map.raw().counters().elements()
    }
}
