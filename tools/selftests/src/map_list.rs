// SPDX-License-Identifier: GPL-2.0
//! The list of all maps, also while maps come and go, and what it refuses.

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use anyhow::Result;
use nix::errno::Errno;
use ostor::device::{self, Map, MapListing, Mode, Owner, text_of};
use ostor::process::Child;
use ostor::sys::ioctl::{self, Buffer};
use ostor::sys::pass;
use uapi::{OSTOR_LIST_MAX, ostor_listed_map, ostor_map_list};

use crate::concurrent;
use crate::harness::{VALUE_SIZE, assert_refused_unchanged, new_map};

crate::suite![
    every_map_once_whatever_the_capacity,
    an_entry_describes_its_map,
    the_longest_name,
    the_creator_stays_when_it_has_died,
    a_closed_map_is_not_listed,
    those_that_stay_while_maps_come_and_go,
    any_cursor_is_safe,
    refused_arguments,
    refused_buffers,
];

fn new_maps(count: usize) -> Result<Vec<Map>> {
    (0..count).map(|_| Ok(new_map()?)).collect()
}

fn all(capacity: u32) -> Result<Vec<ostor_listed_map>> {
    let device = device::open()?;
    let mut listing = MapListing::new(&device, capacity);
    let mut listed = Vec::new();
    while let Some(part) = listing.next_part()? {
        assert!(part.len() <= capacity as usize);
        listed.extend(part);
    }
    Ok(listed)
}

fn entry_of(map: &Map) -> Result<Option<ostor_listed_map>> {
    let id = map.info()?.id;
    Ok(all(16)?.into_iter().find(|entry| entry.id == id))
}

fn every_map_once_whatever_the_capacity() -> Result<()> {
    let before = all(OSTOR_LIST_MAX)?.len();
    let maps = new_maps(7)?;
    for capacity in [1, 2, 3, 100, OSTOR_LIST_MAX] {
        let ids: Vec<_> = all(capacity)?.iter().map(|entry| entry.id).collect();
        assert_eq!(ids.len(), before + maps.len(), "{capacity}");
        assert!(ids.is_sorted_by(|one, other| one < other), "{ids:?}");
        for map in &maps {
            assert!(ids.contains(&map.info()?.id), "{capacity}");
        }
    }
    Ok(())
}

fn an_entry_describes_its_map() -> Result<()> {
    let map = Map::create_named(VALUE_SIZE, "my_map.1")?;
    map.update(Owner::Current, b"x", Mode::NoExist)?;
    let (entry, info) = (entry_of(&map)?.expect("listed"), map.info()?);
    assert_eq!(text_of(&entry.name), "my_map.1");
    assert_eq!(entry.name, info.name);
    assert_eq!(
        (
            entry.value_size,
            entry.element_size,
            entry.buckets,
            entry.flags
        ),
        (info.value_size, info.element_size, info.buckets, info.flags)
    );
    assert_eq!((entry.elements, entry.bytes), (1, info.bytes));
    assert_eq!(entry.pid, std::process::id());
    let comm = std::fs::read_to_string("/proc/thread-self/comm")?;
    assert_eq!(text_of(&entry.comm), comm.trim_end());
    assert_eq!(entry.reserved, 0);
    Ok(())
}

fn the_longest_name() -> Result<()> {
    let map = Map::create_named(1, "fifteen_letters")?;
    assert_eq!(text_of(&map.info()?.name), "fifteen_letters");
    let longer = Map::create_named(1, "sixteen_letters_");
    assert_eq!(
        longer.map(drop).map_err(|error| error.errno()),
        Err(Errno::EINVAL)
    );
    Ok(())
}

fn the_creator_stays_when_it_has_died() -> Result<()> {
    let (ours, theirs) = UnixStream::pair()?;
    let child = Child::start(|| {
        let passed = new_map().map(|map| pass::send(&theirs, &map).is_ok());
        i32::from(!matches!(passed, Ok(true)))
    })?;
    let map = Map::from_fd(pass::receive(&ours)?)?;
    child.reap()?;
    let entry = entry_of(&map)?.expect("listed");
    assert_eq!(i64::from(entry.pid), i64::from(child.pid().as_raw()));
    Ok(())
}

fn a_closed_map_is_not_listed() -> Result<()> {
    let (map, before) = (new_map()?, all(OSTOR_LIST_MAX)?.len());
    let copy = map.as_fd().try_clone_to_owned()?;
    drop(map);
    assert_eq!(
        all(OSTOR_LIST_MAX)?.len(),
        before,
        "there is a descriptor left"
    );
    drop(copy);
    assert_eq!(all(OSTOR_LIST_MAX)?.len(), before - 1);
    Ok(())
}

fn those_that_stay_while_maps_come_and_go() -> Result<()> {
    let maps = new_maps(5)?;
    let stay = maps
        .iter()
        .map(|map: &Map| Ok(map.info()?.id))
        .collect::<Result<Vec<_>>>()?;
    let look = |pass: u32| {
        let entries = all(pass % 3 + 1)?;
        Ok(entries.iter().map(|entry| entry.id).collect::<Vec<_>>())
    };
    for ids in concurrent::look(100, look, || {
        new_map()?;
        Ok(())
    })? {
        assert!(ids.is_sorted_by(|one, other| one < other), "{ids:?}");
        assert!(stay.iter().all(|id| ids.contains(id)), "{ids:?}");
    }
    Ok(())
}

fn any_cursor_is_safe() -> Result<()> {
    let device = device::open()?;
    for after in [1, 1 << 32, u64::MAX - 1, u64::MAX] {
        let mut entries = [ostor_listed_map::default(); 4];
        let mut arg = ostor_map_list {
            after,
            capacity: 4,
            ..ostor_map_list::default()
        };
        let listed = ioctl::map_list(device.as_fd(), &mut arg, Buffer::At(&mut entries));
        if after == u64::MAX {
            // Nothing has a greater number.
            assert_eq!((listed, arg.count, arg.done), (Ok(()), 0, 1));
        } else {
            listed?;
        }
    }
    Ok(())
}

fn refused_arguments() -> Result<()> {
    let (map, mut entries) = (new_map()?, [ostor_listed_map::default(); 1]);
    for (capacity, reserved) in [(0, 0), (OSTOR_LIST_MAX + 1, 0), (1, 1)] {
        let mut arg = ostor_map_list {
            capacity: capacity.min(1),
            reserved,
            ..ostor_map_list::default()
        };
        assert_refused_unchanged(&map, Errno::EINVAL, (capacity, reserved), || {
            if capacity > 1 {
                // The buffer is never written, and need not be that long.
                arg.capacity = capacity;
                return ioctl::map_list(map.as_fd(), &mut arg, Buffer::Null);
            }
            ioctl::map_list(map.as_fd(), &mut arg, Buffer::At(&mut entries))
        });
    }
    Ok(())
}

fn refused_buffers() -> Result<()> {
    let map = new_map()?;
    for (buffer, errno) in [
        (Buffer::Null, Errno::EINVAL),
        (Buffer::ReadOnly, Errno::EFAULT),
        (Buffer::Nowhere, Errno::EFAULT),
        (Buffer::Kernel, Errno::EFAULT),
    ] {
        let what = format!("{buffer:?}");
        let mut arg = ostor_map_list {
            capacity: 1,
            ..ostor_map_list::default()
        };
        assert_refused_unchanged(&map, errno, what, || {
            ioctl::map_list(map.as_fd(), &mut arg, buffer)
        });
    }
    Ok(())
}
