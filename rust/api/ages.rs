// SPDX-License-Identifier: GPL-2.0

//! Ages, in grace periods, of what a reader holds: that nothing is freed under it.

use super::{
    AnyOwner,
    ByteMap, //
};
use crate::{
    storage::{
        held::Held,
        owner::Owner,
        runtime::Runtime, //
    },
    sync::{
        clock,
        rcu, //
    }, //
};

/// Objects that one section holds at most; half of them are elements, half storages.
pub const HELD_MAX: usize = 64;

/// What a read section held at its end.
pub struct Ages {
    /// Objects by age; the last also has those above.
    pub ages: [u64; 4],
    /// Objects whose memory had been used again.
    pub reused: u64,
}

/// Stays in one RCU read section for `hold_us` microseconds, busy, with elements of the map and
/// storages that it came to in the beginning, from the owner's buckets on. Any context.
pub fn look(map: &ByteMap, owner: &AnyOwner, hold_us: u32) -> Option<Ages> {
    let runtime = Runtime::get()?;
    let mut seen = Ages {
        ages: [0; 4],
        reused: 0,
    };
    let rcu = rcu::read_lock();
    let id = owner.as_ref().id();
    let elements = map.inner().raw().held(id, &rcu).take(HELD_MAX / 2);
    let all = Iterator::chain(elements, runtime.held(id, &rcu).take(HELD_MAX / 2));
    let mut held = [const { None::<Held<'_>> }; HELD_MAX];
    for (slot, member) in held.iter_mut().zip(all) {
        *slot = Some(member);
    }
    clock::busy_wait(hold_us);
    for member in held.iter().flatten() {
        match member.age() {
            Some(age) => seen.ages[usize::from(age.unsigned_abs()).min(seen.ages.len() - 1)] += 1,
            None => seen.reused += 1,
        }
    }
    Some(seen)
}
