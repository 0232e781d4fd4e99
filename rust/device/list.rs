// SPDX-License-Identifier: GPL-2.0

//! Listing a map, a piece a call.

use super::{
    entries::{
        self,
        Entries, //
    },
    Arg,
    Handle, //
};
use crate::{
    storage::{
        map::ByteMap,
        walk::Cursor, //
    },
    sync::rcu,
    uapi::{
        ostor_entry,
        ostor_list, //
    }, //
};
use kernel::{
    prelude::*,
    uaccess::UserPtr, //
};

pub(super) fn list(handle: &Handle, arg: &Arg) -> Result {
    let map = handle.map()?;
    let mut req = ostor_list::default();
    arg.read_for_update(&mut req)?;
    let mut entries = Entries::new(req.entries, req.capacity)?;
    let value_size = match req.values {
        0 => 0,
        _ => map.raw().value_size(),
    };
    if req.reserved != 0 || usize::try_from(req.value_size)? != value_size {
        return Err(EINVAL);
    }
    let mut values = UserPtr::from_addr(usize::try_from(req.values)?);
    super::memory()?;
    let mut value = KVVec::<u8>::from_elem(0, value_size, GFP_KERNEL)?;
    let mut cursor = Cursor {
        bucket: req.pos,
        seq: req.seq,
    };
    req.done = entries.fill(|entries| {
        let Some(entry) = next(map, &mut cursor, &mut value) else {
            return Ok(false);
        };
        // First the entry: no value is written if it cannot be.
        entries.push(&entry)?;
        entries::append(&mut values, &value)?;
        Ok(true)
    })?;
    req.count = entries.count();
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
