// SPDX-License-Identifier: GPL-2.0

//! Owner-attached storage: the algorithm.
//!
//! A [`Map`](map::Map) holds at most one element per owner. An element is a member of two lists:
//! the bucket of its map's [`Table`](table::Table), hashed by the owner's address, where lookups
//! find it; and the list of its owner's [`Storage`](store::Storage), through which it dies with
//! the owner. Storages are found through one more table, the owner index.
//!
//! # Who ends an element
//!
//! A delete, an update, the owner's death or the end of the map. They race, and one compare and
//! exchange on the element's key decides: who turns it from live to dead owns the element, takes it
//! out of both lists and hands it to the [`reaper`]. The exchange needs no lock, so that an element
//! becomes unmatchable whatever locks fail. Unlinking needs each list's lock; where one cannot be
//! had, the reaper does the rest later.
//!
//! # Locks
//!
//! Each storage and each bucket has an rqspinlock. None is ever taken while another is held. A
//! create takes its storage's lock only: it is pushed into its bucket without a lock. So what an
//! owner's operations can fail with is recursion on that very owner, whatever else shares its
//! bucket.
//!
//! Nothing here names a kind of owner, an ioctl or a C symbol.

pub(crate) mod charge;
pub(crate) mod create;
pub(crate) mod drops;
pub(crate) mod element;
pub(crate) mod error;
#[cfg(OSTOR_TEST)]
pub(crate) mod held;
pub(crate) mod inherit;
#[cfg(OSTOR_TEST)]
pub(crate) mod kept;
pub(crate) mod lock_mode;
pub(crate) mod map;
pub(crate) mod owner;
pub(crate) mod pending;
pub(crate) mod raw_map;
pub(crate) mod reap_node;
pub(crate) mod reaper;
pub(crate) mod runtime;
pub(crate) mod stats;
pub(crate) mod store;
pub(crate) mod table;
pub(crate) mod unlink;
pub(crate) mod walk;
