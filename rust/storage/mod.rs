// SPDX-License-Identifier: GPL-2.0

//! Owner-attached storage: the algorithm.
//!
//! A [`Map`](map::Map) holds at most one element per owner. An element is a member of two lists:
//! the bucket of its map's [`Table`](table::Table), hashed by the owner's address, where lookups
//! find it; and the element list of its owner's [`Storage`](store::Storage), through which it dies
//! with the owner. Storages are found through one more table, the owner index.
//!
//! # Claims
//!
//! A delete, an update, the owner's death and the end of the map can end an element, and they race.
//! One compare and exchange on the element's key decides: the CPU that turns the key from live to
//! dead has claimed the element. The claimer takes the element out of both lists and hands it to
//! the [`reaper`]. A claim needs no lock, so no lock failure keeps a dead element matchable.
//! Unlinking needs the lock of each list. Where the claimer cannot take one, the reaper unlinks
//! later.
//!
//! # Locks
//!
//! Each storage and each bucket has an rqspinlock. No operation takes one while it holds another. A
//! create takes the lock of its storage only, since it pushes into the bucket without a lock. So
//! the only lock whose failure fails an operation is that of the owner's own storage: in a
//! recursion on that very owner, in a cycle of such recursions, or after a time-out. Other owners
//! in the same bucket do not matter.
//!
//! # Dependencies
//!
//! This module uses [`crate::sync`] and the kernel crate only. It names no type of owner, no ioctl
//! and no C symbol.

pub(crate) mod charge;
pub(crate) mod create;
pub(crate) mod drops;
pub(crate) mod element;
pub(crate) mod error;
#[cfg(OSTOR_TEST)]
pub(crate) mod held;
pub(crate) mod hints;
pub(crate) mod inherit;
pub(crate) mod lock_mode;
pub(crate) mod map;
pub(crate) mod owner;
pub(crate) mod pending;
pub(crate) mod raw_map;
pub(crate) mod reap_node;
pub(crate) mod reaper;
pub(crate) mod reserve;
pub(crate) mod runtime;
pub(crate) mod stats;
pub(crate) mod store;
pub(crate) mod table;
pub(crate) mod unlink;
#[cfg(OSTOR_TEST)]
pub(crate) mod value_keeps_owner;
pub(crate) mod walk;
