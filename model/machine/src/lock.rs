// SPDX-License-Identifier: GPL-2.0

//! Locks that detect deadlocks.

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

/// The CPU that holds each lock, by the address of the lock.
#[derive(Default)]
pub(crate) struct Locks(BTreeMap<usize, usize>);

impl Locks {
    pub(crate) fn all_free(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether a lock in this memory, which is being freed, is held.
    pub(crate) fn any_held_in(&mut self, addr: usize, size: usize) -> bool {
        self.0.range(addr..addr + size).next().is_some()
    }
}

/// Takes the lock. Returns false if this CPU holds it already, or if its holder waits for this CPU.
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

/// Takes the lock if it is free.
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

/// Releases the lock, which must be the one that this CPU took last.
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
