// SPDX-License-Identifier: GPL-2.0

//! Listing an owner's elements, a piece a call.

use super::{
    entries::Entries,
    info,
    resolve,
    Arg, //
};
use crate::{
    storage::{
        owner::{
            Owner,
            OwnerId, //
        },
        runtime::Runtime, //
    },
    sync::rcu,
    uapi::{
        ostor_list_owner,
        ostor_owned, //
    }, //
};
use kernel::prelude::*;

pub(super) fn list(arg: &Arg) -> Result {
    let mut req = ostor_list_owner::default();
    arg.read_for_update(&mut req)?;
    let mut entries = Entries::new(req.entries, req.capacity)?;
    if req.reserved != 0 {
        return Err(EINVAL);
    }
    let runtime = Runtime::get().ok_or(ENODEV)?;
    let owner = resolve(&req.owner)?;
    req.done = entries.fill(|entries| {
        let Some(entry) = next(runtime, owner.as_ref().id(), req.after) else {
            return Ok(false);
        };
        req.after = entry.map_id;
        entries.push(&entry)?;
        Ok(true)
    })?;
    req.count = entries.count();
    arg.write(&req)
}

fn next(runtime: &Runtime, owner: OwnerId, after: u64) -> Option<ostor_owned> {
    let rcu = rcu::read_lock();
    let elem = runtime.next_of(owner, after, &rcu)?;
    let map = elem.map();
    Some(ostor_owned {
        map_id: map.id(),
        seq: elem.seq(),
        value_size: map.value_size() as u32,
        flags: info::flags(map),
    })
}
