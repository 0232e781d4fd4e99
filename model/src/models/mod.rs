// SPDX-License-Identifier: GPL-2.0

//! The models: what runs at the same time, and what must be true whatever comes first.

mod any;
mod apart;
mod create;
mod delete;
mod ends;
mod figures;
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

/// No lock and no allocation fails.
const NO_FAULTS: &[Plan] = &[Plan::NONE];

/// Any one of the first locks fails, or none.
fn one_lock_fails(calls: u32) -> Vec<Plan> {
    Plan::all(&LOCKS, calls, 1)
}

/// Any of the first locks fail, in all combinations.
fn any_locks_fail(calls: u32) -> Vec<Plan> {
    Plan::all(&LOCKS, calls, LOCKS.len() as u32 * calls)
}

/// Any of the first locks that are taken to unlink fail, in all combinations.
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

/// An owner in the same bucket of the map as one at this place.
fn neighbour_of(place: usize, f: &Fixture) -> &'static Mock {
    neighbours_of(place, f).next().expect("no neighbour")
}

/// Owners in the same bucket as one at this place, in the map and in the index, whose table is as
/// large.
fn neighbours_of(place: usize, f: &Fixture) -> impl Iterator<Item = &'static Mock> + '_ {
    let id = Mock::new(place, 0, Some(ROOM)).id();
    (1..)
        .map(move |n| Mock::new(place + n * 0x1000, 7, Some(ROOM)))
        .filter(move |other| f.0.raw().share_bucket(id, other.id()))
}
