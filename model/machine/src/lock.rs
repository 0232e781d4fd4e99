// SPDX-License-Identifier: GPL-2.0

//! Locks that know when waiting would never end.

use crate::{
    word::{
        self,
        Order, //
    },
    world::{
        cpu,
        wait_until,
        wake,
        with,
        World, //
    }, //
};
use std::{
    collections::BTreeMap,
    thread::panicking, //
};

/// Who holds which lock; locks are known by address.
#[derive(Default)]
pub(crate) struct Locks(BTreeMap<usize, usize>);

impl Locks {
    pub(crate) fn all_free(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a lock in memory that is freed is held.
    pub(crate) fn forget(&mut self, addr: usize, size: usize) -> bool {
        self.0.range(addr..addr + size).next().is_some()
    }
}

/// Takes the lock, or returns false: this CPU holds it, or its holder waits for this CPU.
pub fn acquire(addr: usize) -> bool {
    let me = cpu();
    while !panicking() {
        if with(|w| w.never_ends(me, addr)) {
            return false;
        }
        if word::compare_exchange(addr, 0, 1, Order::Acquire).is_ok() {
            break;
        }
        if with(|w| w.never_ends(me, addr)) {
            return false;
        }
        with(|w| w.cpus[me].wants = Some(addr));
        wait_until(move |w| !w.locks.0.contains_key(&addr));
        with(|w| w.cpus[me].wants = None);
    }
    with(|w| {
        w.locks.0.insert(addr, me);
        w.cpus[me].holds.push(addr);
    });
    true
}

/// Takes the lock if nobody holds it.
pub fn try_acquire(addr: usize) -> bool {
    let me = cpu();
    if word::compare_exchange(addr, 0, 1, Order::Acquire).is_err() {
        return false;
    }
    with(|w| {
        w.locks.0.insert(addr, me);
        w.cpus[me].holds.push(addr);
    });
    true
}

/// Lets go of the lock that was taken last.
pub fn release(addr: usize) {
    let me = cpu();
    word::store(addr, 0, Order::Release);
    with(|w| {
        assert!(w.cpus[me].holds.pop() == Some(addr) || panicking());
        w.locks.0.remove(&addr);
    });
    wake();
}

impl World {
    fn never_ends(&self, me: usize, addr: usize) -> bool {
        let mut wanted = Some(addr);
        while let Some(holder) = wanted.and_then(|addr| self.locks.0.get(&addr)) {
            if *holder == me {
                return true;
            }
            wanted = self.cpus[*holder].wants;
        }
        false
    }
}
