// SPDX-License-Identifier: GPL-2.0
//! Refused arguments of the creation of a map.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use anyhow::Result;
use nix::errno::Errno;
use ostor::device::{self, Map, Owner};
use ostor::sys::ioctl::{self, Buffer, ElemCommand};
use ostor::torture::{self, TortureDevice};
use uapi::{
    ostor_bench, ostor_context, ostor_context_cpu, ostor_list, ostor_map_create, ostor_recurse,
};

use crate::harness::{VALUE_SIZE, assert_refused, assert_refused_unchanged, new_map};
use crate::raw_elem::RawElem;

crate::suite![
    sizes,
    flags_and_reserved_fields,
    names,
    a_file_that_is_a_map,
    commands_before_there_is_a_map
];

const VALID: ostor_map_create = ostor_map_create {
    value_size: VALUE_SIZE,
    flags: 0,
    name: [0; 16],
    reserved: 0,
};

/// Asserts that a file does not become a map with `arg`, and can still become one.
#[track_caller]
fn assert_no_map(errno: Errno, arg: ostor_map_create) {
    let (other, file) = (new_map().unwrap(), device::open().unwrap());
    let create = || ioctl::map_create(file.as_fd(), arg);
    assert_refused_unchanged(&other, errno, arg, create);
    assert_refused(
        Map::from_fd(file.try_clone().unwrap().into()),
        Errno::EINVAL,
    );
    ioctl::map_create(file.as_fd(), VALID).unwrap();
    assert_eq!(Map::from_fd(file.into()).unwrap().value_size(), VALUE_SIZE);
}

fn sizes() -> Result<()> {
    assert_no_map(
        Errno::EINVAL,
        ostor_map_create {
            value_size: 0,
            ..VALID
        },
    );
    for value_size in [uapi::OSTOR_VALUE_SIZE_MAX + 1, 1 << 20, 1 << 31, u32::MAX] {
        assert_no_map(
            Errno::E2BIG,
            ostor_map_create {
                value_size,
                ..VALID
            },
        );
    }
    Ok(())
}

fn flags_and_reserved_fields() -> Result<()> {
    for flags in [2, 3, 4, 1 << 31, u32::MAX] {
        assert_no_map(Errno::EINVAL, ostor_map_create { flags, ..VALID });
    }
    for reserved in [1, 1 << 63] {
        assert_no_map(Errno::EINVAL, ostor_map_create { reserved, ..VALID });
    }
    Ok(())
}

fn names() -> Result<()> {
    let mut name = [0; 16];
    for (at, byte) in [(0, b' '), (3, b'/'), (14, b'-'), (0, 0x80), (5, b'\n')] {
        name.fill(0);
        name[..=at].fill(b'a');
        name[at] = byte;
        assert_no_map(Errno::EINVAL, ostor_map_create { name, ..VALID });
    }
    // No end, something behind the end, and an end at once.
    for name in [
        [b'a'; 16],
        *b"ab\0\0\0\0\0\0\0\0\0\0\0\0\0c",
        *b"\0b\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
    ] {
        assert_no_map(Errno::EINVAL, ostor_map_create { name, ..VALID });
    }
    Ok(())
}

fn a_file_that_is_a_map() -> Result<()> {
    let map = new_map()?;
    for arg in [
        VALID,
        ostor_map_create {
            value_size: 8,
            ..VALID
        },
    ] {
        let create = || ioctl::map_create(map.as_fd(), arg);
        assert_refused_unchanged(&map, Errno::EBUSY, arg, create);
    }
    Ok(())
}

fn commands_before_there_is_a_map() -> Result<()> {
    let (other, file): (_, File) = (new_map()?, device::open()?);
    let fd = file.as_fd();
    let refused = |what: &str, attempt: &mut dyn FnMut() -> nix::Result<()>| {
        assert_refused_unchanged(&other, Errno::EINVAL, what, attempt);
    };
    for command in ElemCommand::ALL {
        let mut attempt = RawElem::valid(command, Owner::Current);
        refused(&format!("{command:?}"), &mut || attempt.run(&file));
    }
    refused("MAP_INFO", &mut || ioctl::map_info(fd).map(drop));
    let mut entries = [uapi::ostor_entry::default(); 4];
    let mut list = ostor_list {
        capacity: 4,
        ..ostor_list::default()
    };
    refused("LIST", &mut || {
        ioctl::list(fd, &mut list, Buffer::At(&mut entries), Buffer::Null)
    });
    let op = uapi::ostor_op {
        op: uapi::OSTOR_OP_LOOKUP,
        map_fd: fd.as_raw_fd(),
        ..Default::default()
    };
    let mut recurse = ostor_recurse {
        outer: op,
        inner: op,
        ..Default::default()
    };
    let device = TortureDevice::open()?;
    refused("RECURSE", &mut || {
        torture::ioctl::recurse(&device, &mut recurse)
    });
    let mut bench = ostor_bench {
        bench: uapi::OSTOR_BENCH_GET_MISS,
        maps: 1,
        iterations: 1,
        map_fd: fd.as_raw_fd(),
        ..ostor_bench::default()
    };
    refused("BENCH", &mut || torture::ioctl::bench(&device, &mut bench));
    let mut context = ostor_context {
        cpus: 1,
        ops_count: 1,
        period_us: 1000,
        duration_ms: 1,
        ..ostor_context::default()
    };
    let (mut ops, mut seen) = ([op], [ostor_context_cpu::default()]);
    refused("CONTEXT", &mut || {
        let (ops, seen) = (Buffer::At(&mut ops), Buffer::At(&mut seen));
        torture::ioctl::context(&device, &mut context, ops, seen)
    });

    ioctl::stats(fd)?;
    ioctl::map_create(fd, VALID)?;
    Map::from_fd(OwnedFd::from(file))?.get_or_create(Owner::Current, b"now it is one")?;
    Ok(())
}
