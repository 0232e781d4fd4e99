// SPDX-License-Identifier: GPL-2.0

//! Listing an owner's elements, a piece a call.

use super::{
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
    sync::{
        deferred,
        rcu, //
    },
    uapi::{
        ostor_list_owner,
        ostor_owned,
        OSTOR_LIST_MAX, //
    }, //
};
use kernel::{
    prelude::*,
    uaccess::{
        UserPtr,
        UserSlice, //
    }, //
};

pub(super) fn list(arg: &Arg) -> Result {
    let mut req: ostor_list_owner = arg.read_for_update()?;
    if req.reserved != 0 || req.entries == 0 || !(1..=OSTOR_LIST_MAX).contains(&req.capacity) {
        return Err(EINVAL);
    }
    let runtime = Runtime::get().ok_or(ENODEV)?;
    let owner = resolve(&req.owner)?;
    let mut entries = UserPtr::from_addr(usize::try_from(req.entries)?);
    req.count = 0;
    req.done = 0;
    while req.count < req.capacity {
        let Some(entry) = next(runtime, owner.as_ref().id(), req.after) else {
            req.done = 1;
            break;
        };
        req.after = entry.map_id;
        let size = size_of::<ostor_owned>();
        UserSlice::new(entries, size).writer().write(&entry)?;
        entries = entries.wrapping_byte_add(size);
        req.count += 1;
        deferred::cond_resched();
    }
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
