// SPDX-License-Identifier: GPL-2.0

//! The models: what runs at the same time, and what must be true whatever comes first.

mod any;
mod create;
mod delete;
mod life;
mod lookup;
mod nested;
mod walk;

use crate::sync::fault::{
    Plan,
    Point, //
};

/// No lock and no allocation fails.
const NO_FAULTS: &[Plan] = &[Plan::NONE];

/// Any one of the first locks fails, or none.
fn one_lock_fails(calls: u32) -> Vec<Plan> {
    let locks = [
        Point::LinkLock,
        Point::UnlinkLock,
        Point::BucketLock,
        Point::IndexLock,
    ];
    Plan::all(&locks, calls, 1)
}
