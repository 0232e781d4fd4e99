// SPDX-License-Identifier: GPL-2.0

//! The driver of a reader that looks how old what it holds gets.

use super::{
    map::DeviceMap,
    resolve,
    Arg, //
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
    },
    uapi::{
        ostor_ages,
        OSTOR_AGES,
        OSTOR_AGES_HELD_MAX,
        OSTOR_AGES_HOLD_MAX_US, //
    }, //
};
use kernel::prelude::*;

/// How many elements, and how many storages, one section holds at most.
const MOST: usize = OSTOR_AGES_HELD_MAX as usize / 2;

pub(super) fn ages(map: &DeviceMap, arg: &Arg) -> Result {
    let mut req: ostor_ages = arg.read_for_update()?;
    if req.hold_us > OSTOR_AGES_HOLD_MAX_US || req.pad != 0 || req.reserved != [0; 2] {
        return Err(EINVAL);
    }
    let id = resolve(&req.owner)?.id();
    let runtime = Runtime::get().ok_or(ENODEV)?;
    (req.ages, req.reused) = ([0; OSTOR_AGES as usize], 0);
    {
        let rcu = rcu::read_lock();
        let elements = map.raw().held(id, &rcu).take(MOST);
        let all = Iterator::chain(elements, runtime.held(id, &rcu).take(MOST));
        let mut held = [const { None::<Held<'_>> }; 2 * MOST];
        for (slot, member) in held.iter_mut().zip(all) {
            *slot = Some(member);
        }
        clock::busy_wait(req.hold_us);
        for member in held.iter().flatten() {
            match member.age() {
                Some(age) => req.ages[usize::from(age.unsigned_abs()).min(req.ages.len() - 1)] += 1,
                None => req.reused += 1,
            }
        }
    }
    arg.write(&req)
}
