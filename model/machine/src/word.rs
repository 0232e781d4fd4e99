// SPDX-License-Identifier: GPL-2.0

//! Operations on words of memory, by address.
//!
//! A word is made at its first use. The engine's word holds the difference to what the memory held
//! then, so it starts at 0. So every CPU that reaches an object sees at least what the object was
//! initialised with, as by an address dependency.
//!
//! When two operations on one word conflict, loom also tries them in the other order, but it
//! remembers only the last operation. A load that the same thread follows by an exchange, as in
//! each loop around a compare and exchange, hides the earlier loads of all other threads. So each
//! CPU has words of its own: it loads one of them with each load, and a CPU that changes what the
//! first one has loaded stores to it.

use crate::{
    engine::Engine,
    interrupt::step,
    lines,
    plain,
    world::{
        with,
        Slot, //
    }, //
};
use std::{
    rc::Rc,
    sync::atomic::Ordering,
    thread::panicking, //
};

/// The order of an operation.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Order {
    /// As in C.
    Relaxed,
    /// As in C.
    Acquire,
    /// As in C.
    Release,
    /// Ordered after all operations before it, and before all operations after it.
    Full,
}

impl Order {
    fn rmw(self) -> Ordering {
        match self {
            Self::Relaxed => Ordering::Relaxed,
            Self::Acquire => Ordering::Acquire,
            Self::Release => Ordering::Release,
            Self::Full => Ordering::AcqRel,
        }
    }
}

fn slot(addr: usize) -> Rc<Slot> {
    let slot = with(|w| w.slot(addr));
    plain::used(addr);
    slot
}

/// Checks that the memory was not freed while other threads ran, just before the operation.
fn recheck(addr: usize) {
    with(|w| drop(w.slot(addr)));
}

/// Tells loom that this CPU loads the word.
fn will_load(slot: &Slot) {
    let (cpu, own) = with(|w| {
        let cpu = w.cpu();
        let loads = &w.cpus[cpu].loads;
        let own = loads[slot.turn.get() % loads.len()].clone();
        let wanted = w.setup.engine == Engine::Loom && !w.alone;
        (cpu, wanted.then_some(own))
    });
    if let Some(own) = own {
        own.word.load(Ordering::Relaxed);
        slot.readers.set(slot.readers.get() | (1 << cpu));
    }
}

/// Tells loom that this CPU changes what other CPUs have loaded.
#[track_caller]
fn will_change(addr: usize, slot: &Slot) {
    lines::note(addr, true);
    while slot.readers.get() != 0 {
        let reader = slot.readers.get().trailing_zeros();
        slot.readers.set(slot.readers.get() & !(1 << reader));
        let own = with(|w| {
            let loads = &w.cpus[reader as usize].loads;
            let own = loads[slot.turn.get() % loads.len()].clone();
            (w.cpu() != reader as usize).then_some(own)
        });
        if let Some(own) = own {
            own.word.store(0, Ordering::Relaxed);
        }
    }
}

fn after(order: Order) {
    if order == Order::Full {
        barrier(Order::Full);
    }
}

/// Orders all operations before it before all operations after it, as `order` demands.
pub fn fence(order: Order) {
    step();
    barrier(order);
}

fn barrier(order: Order) {
    if panicking() {
        return;
    }
    let engine = with(|w| w.setup.engine);
    match (engine, order) {
        (Engine::Shuttle, _) => {}
        (Engine::Loom, Order::Full) => engine.fence(Ordering::SeqCst),
        (Engine::Loom, order) => engine.fence(order.rmw()),
    }
}

/// Loads the difference.
#[track_caller]
pub fn load(addr: usize, order: Order) -> u64 {
    step();
    let slot = slot(addr);
    if panicking() {
        return slot.last.get();
    }
    lines::note(addr, false);
    will_load(&slot);
    let value = slot.word.load(order.rmw());
    recheck(addr);
    value
}

/// Stores a difference.
#[track_caller]
pub fn store(addr: usize, value: u64, order: Order) {
    step();
    let slot = slot(addr);
    if !panicking() {
        will_change(addr, &slot);
        slot.word.store(value, order.rmw());
        recheck(addr);
    }
    slot.last.set(value);
}

/// Stores a difference and returns the previous one.
#[track_caller]
pub fn swap(addr: usize, value: u64, order: Order) -> u64 {
    step();
    let slot = slot(addr);
    if panicking() {
        return slot.last.replace(value);
    }
    will_change(addr, &slot);
    let old = slot.word.swap(value, order.rmw());
    recheck(addr);
    slot.last.set(value);
    after(order);
    old
}

/// Adds to the difference and returns the previous one.
#[track_caller]
pub fn fetch_add(addr: usize, value: u64, order: Order) -> u64 {
    step();
    let slot = slot(addr);
    if panicking() {
        return slot.last.replace(slot.last.get().wrapping_add(value));
    }
    will_change(addr, &slot);
    let old = slot.word.fetch_add(value, order.rmw());
    recheck(addr);
    slot.last.set(old.wrapping_add(value));
    after(order);
    old
}

/// Replaces the difference if it is `old`. An exchange that fails orders nothing.
#[track_caller]
pub fn compare_exchange(addr: usize, old: u64, new: u64, order: Order) -> Result<u64, u64> {
    step();
    let slot = slot(addr);
    if panicking() {
        let now = slot.last.get();
        if now != old {
            return Err(now);
        }
        return Ok(slot.last.replace(new));
    }
    will_change(addr, &slot);
    let result = slot.word.compare_exchange(old, new, order.rmw());
    recheck(addr);
    if result.is_ok() {
        slot.last.set(new);
        after(order);
    }
    result
}
