// SPDX-License-Identifier: GPL-2.0

//! Memory on which no two accesses may race, of which one writes: plain cells, by address, and all
//! of a block, which each use of it reads and its free writes.
//!
//! Loom sees a race whatever the interleaving is: if nothing orders the accesses. Nothing is
//! scheduled here.

use crate::world::{
    with,
    World, //
};
use loom::cell::UnsafeCell;
use std::{
    rc::Rc,
    thread::panicking, //
};

/// What loom knows of a cell or a block.
pub(crate) type Place = Rc<UnsafeCell<()>>;

/// Reads a cell.
pub fn read(addr: usize) {
    used(addr);
    if let Some(place) = place(|w| w.cell(addr)) {
        place.with(|_| ());
    }
}

/// Writes a cell.
pub fn write(addr: usize) {
    used(addr);
    if let Some(place) = place(|w| w.cell(addr)) {
        place.with_mut(|_| ());
    }
}

/// Something in the block at the address is used, which is not freed.
pub(crate) fn used(addr: usize) {
    if let Some(place) = place(|w| w.block(addr)) {
        place.with(|_| ());
    }
}

/// The block is freed: all uses of it came before.
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
