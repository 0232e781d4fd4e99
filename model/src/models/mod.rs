// SPDX-License-Identifier: GPL-2.0

//! The scenarios: operations that run at the same time, and assertions that hold whatever the order
//! is.

mod any;
mod commute;
mod create;
mod delete;
mod ends;
mod figures;
mod hints;
mod interrupt;
mod life;
mod lookup;
mod nested;
mod overtaken;
mod random;
mod seen;
mod sequence;
mod walk;
mod watermarks;

use crate::{
    mock::{
        Fixture,
        Mock,
        ROOM, //
    },
    storage::owner::Owner,
    sync::fault::{
        Plan,
        Site, //
    },
};

/// The plan in which no call fails.
const NO_FAULTS: &[Plan] = &[Plan::NONE];

/// The plans in which one of the first calls for a lock fails, or none.
fn one_lock_fails(calls: u32) -> Vec<Plan> {
    Plan::all(&LOCKS, calls, 1)
}

/// The plans in which any of the first calls for a lock fail, in all combinations.
fn any_locks_fail(calls: u32) -> Vec<Plan> {
    Plan::all(&LOCKS, calls, LOCKS.len() as u32 * calls)
}

/// The plans in which any of the first calls for a lock to unlink fail, in all combinations.
fn any_unlinks_fail(calls: u32) -> Vec<Plan> {
    let [_, unlinks @ ..] = LOCKS;
    Plan::all(&unlinks, calls, unlinks.len() as u32 * calls)
}

const LOCKS: [Site; 4] = [
    Site::LinkLock,
    Site::UnlinkLock,
    Site::BucketLock,
    Site::IndexLock,
];

/// An owner whose bucket in the map is that of the owner at `place`.
fn neighbour_of(place: usize, f: &Fixture) -> &'static Mock {
    neighbours_of(place, f).next().expect("no neighbour")
}

/// Owners whose bucket is that of the owner at `place`, in the map and in the owner index. The two
/// tables have the same size.
fn neighbours_of(place: usize, f: &Fixture) -> impl Iterator<Item = &'static Mock> + '_ {
    let id = Mock::new(place, 0, Some(ROOM)).id();
    (1..)
        .map(move |n| Mock::new(place + n * 0x1000, 7, Some(ROOM)))
        .filter(move |other| f.0.raw().share_bucket(id, other.id()))
}
