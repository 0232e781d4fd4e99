// SPDX-License-Identifier: GPL-2.0

//! Memory on which accesses must not race if one of them writes: plain cells, by address, and whole
//! blocks, which each access reads and the free writes.
//!
//! Loom detects a race by the lack of an order between the accesses, whatever the interleaving is.
//! Other threads do not run inside these functions.

use crate::{
    lines,
    world::{
        with,
        World, //
    }, //
};
use loom::cell::UnsafeCell;
use std::{
    rc::Rc,
    thread::panicking, //
};

/// The object that loom tracks for a cell or a block.
pub(crate) type Place = Rc<UnsafeCell<()>>;

/// Reads a cell.
#[track_caller]
pub fn read(addr: usize) {
    lines::note(addr, false);
    used(addr);
    if let Some(place) = place(|w| w.cell(addr)) {
        place.with(|_| ());
    }
}

/// Writes a cell.
#[track_caller]
pub fn write(addr: usize) {
    lines::note(addr, true);
    used(addr);
    if let Some(place) = place(|w| w.cell(addr)) {
        place.with_mut(|_| ());
    }
}

/// Marks the block at the address, which must not be freed, as accessed.
pub(crate) fn used(addr: usize) {
    if let Some(place) = place(|w| w.block(addr)) {
        place.with(|_| ());
    }
}

/// Marks a block as freed. All accesses must be ordered before.
pub(crate) fn freed(place: Option<Place>) {
    if let Some(place) = place {
        place.with_mut(|_| ());
    }
}

fn place(find: impl FnOnce(&mut World) -> Option<Place>) -> Option<Place> {
    if panicking() {
        return None;
    }
    with(find)
}
