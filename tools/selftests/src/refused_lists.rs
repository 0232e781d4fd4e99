// SPDX-License-Identifier: GPL-2.0
//! Refused arguments of a map's listing.

use std::os::fd::AsFd;

use anyhow::Result;
use nix::errno::Errno;
use ostor::device::{Map, Mode, Owner};
use ostor::sys::ioctl::{self, Buffer};
use uapi::{OSTOR_LIST_MAX, ostor_entry, ostor_list};

use crate::harness::{VALUE_SIZE, assert_refused_unchanged, new_map};

crate::suite![arguments, buffers, any_cursor_is_safe];

const VALID: ostor_list = ostor_list {
    pos: 0,
    seq: 0,
    entries: 0,
    values: 0,
    value_size: VALUE_SIZE,
    capacity: 4,
    count: 0,
    done: 0,
    reserved: 0,
};

fn map_of_one() -> Result<Map> {
    let map = new_map()?;
    map.update(Owner::Current, b"x", Mode::NoExist)?;
    Ok(map)
}

/// Lists into buffers that are large enough for every argument.
fn list(map: &Map, arg: &mut ostor_list) -> nix::Result<()> {
    let capacity = arg.capacity.min(2 * OSTOR_LIST_MAX) as usize;
    let mut entries = vec![ostor_entry::default(); capacity];
    let mut values = vec![0; capacity * arg.value_size as usize];
    ioctl::list(
        map.as_fd(),
        arg,
        Buffer::At(&mut entries),
        Buffer::At(&mut values),
    )
}

fn arguments() -> Result<()> {
    let map = map_of_one()?;
    type Change = (&'static str, fn(&mut ostor_list));
    let changes: [Change; 6] = [
        ("capacity 0", |arg| arg.capacity = 0),
        ("a capacity too large", |arg| {
            arg.capacity = OSTOR_LIST_MAX + 1
        }),
        ("a smaller value", |arg| arg.value_size = VALUE_SIZE - 1),
        ("a larger value", |arg| arg.value_size = VALUE_SIZE + 1),
        ("a value of no size", |arg| arg.value_size = 0),
        ("reserved", |arg| arg.reserved = 1),
    ];
    for (what, change) in changes {
        let mut arg = VALID;
        change(&mut arg);
        assert_refused_unchanged(&map, Errno::EINVAL, what, || list(&map, &mut arg));
        assert_eq!(
            (arg.pos, arg.seq, arg.count, arg.done),
            (0, 0, 0, 0),
            "{what}"
        );
    }
    let mut arg = VALID;
    list(&map, &mut arg)?;
    assert_eq!((arg.count, arg.done), (1, 1));
    Ok(())
}

fn buffers() -> Result<()> {
    let map = map_of_one()?;
    type Wrong<T> = fn() -> Buffer<'static, T>;
    let entries: [(&str, Wrong<ostor_entry>); 3] = [
        ("entries nowhere", || Buffer::Nowhere),
        ("entries in the kernel", || Buffer::Kernel),
        ("entries that are read-only", || Buffer::ReadOnly),
    ];
    for (what, wrong) in entries {
        assert_refused_unchanged(&map, Errno::EFAULT, what, || {
            let mut values = [0; 4 * VALUE_SIZE as usize];
            let values = Buffer::At(&mut values);
            ioctl::list(map.as_fd(), &mut VALID.clone(), wrong(), values)
        });
    }
    let values: [(&str, Errno, Wrong<u8>); 4] = [
        ("values nowhere", Errno::EFAULT, || Buffer::Nowhere),
        ("values in the kernel", Errno::EFAULT, || Buffer::Kernel),
        ("values that are read-only", Errno::EFAULT, || {
            Buffer::ReadOnly
        }),
        ("a size without values", Errno::EINVAL, || Buffer::Null),
    ];
    for (what, errno, wrong) in values {
        assert_refused_unchanged(&map, errno, what, || {
            let mut entries = [ostor_entry::default(); 4];
            let entries = Buffer::At(&mut entries);
            ioctl::list(map.as_fd(), &mut VALID.clone(), entries, wrong())
        });
    }
    Ok(())
}

fn any_cursor_is_safe() -> Result<()> {
    let map = map_of_one()?;
    for pos in [1, 7, 1 << 31, 1 << 32, u64::MAX - 1, u64::MAX] {
        for seq in [0, 1, 2, u64::MAX] {
            let result = list(&map, &mut ostor_list { pos, seq, ..VALID });
            assert!(
                matches!(result, Ok(()) | Err(Errno::EINVAL)),
                "{pos} {seq}: {result:?}"
            );
        }
    }
    assert_eq!(map.list()?.len(), 1);
    Ok(())
}
