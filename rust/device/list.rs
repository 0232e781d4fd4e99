// SPDX-License-Identifier: GPL-2.0

//! Listing a map, a piece a call.

use super::Arg;
use crate::{
    storage::{
        map::ByteMap,
        walk::Cursor, //
    },
    sync::{
        deferred,
        rcu, //
    },
    uapi::{
        ostor_entry,
        ostor_list,
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

pub(super) fn list(map: &ByteMap, arg: &Arg) -> Result {
    let mut req: ostor_list = arg.read_for_update()?;
    let value_size = usize::try_from(req.value_size)?;
    let with_values = req.values != 0;
    if req.reserved != 0
        || req.entries == 0
        || !(1..=OSTOR_LIST_MAX).contains(&req.capacity)
        || value_size
            != if with_values {
                map.raw().value_size()
            } else {
                0
            }
    {
        return Err(EINVAL);
    }
    let entries = UserPtr::from_addr(usize::try_from(req.entries)?);
    let values = UserPtr::from_addr(usize::try_from(req.values)?);
    super::memory()?;
    let mut value = KVVec::<u8>::from_elem(0, value_size, GFP_KERNEL)?;
    let mut cursor = Cursor {
        bucket: req.pos,
        seq: req.seq,
    };
    req.count = 0;
    req.done = 0;
    while req.count < req.capacity {
        let Some(entry) = next(map, &mut cursor, &mut value) else {
            req.done = 1;
            break;
        };
        let at = usize::try_from(req.count)?;
        UserSlice::new(
            entries.wrapping_byte_add(at * size_of::<ostor_entry>()),
            size_of::<ostor_entry>(),
        )
        .writer()
        .write(&entry)?;
        if with_values {
            UserSlice::new(values.wrapping_byte_add(at * value_size), value_size)
                .writer()
                .write_slice(&value)?;
        }
        req.count += 1;
        deferred::cond_resched();
    }
    req.pos = cursor.bucket;
    req.seq = cursor.seq;
    arg.write(&req)
}

/// The next element's entry; its value is copied if `value` has room for it.
fn next(map: &ByteMap, cursor: &mut Cursor, value: &mut [u8]) -> Option<ostor_entry> {
    let rcu = rcu::read_lock();
    let (elem, label) = map.raw().next(cursor, &rcu)?;
    if !value.is_empty() {
        value.copy_from_slice(map.value(elem));
    }
    Some(ostor_entry {
        owner_id: label.id,
        seq: cursor.seq,
        owner_kind: label.kind,
        reserved: 0,
    })
}
