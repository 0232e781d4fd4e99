// SPDX-License-Identifier: GPL-2.0
//! A map lives exactly as long as a descriptor refers to it, in whichever process.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::kmod::{DeleteModuleFlags, delete_module};
use ostor::device::{self, Map, Mode, Owner};
use ostor::process::Child;
use ostor::settle;
use ostor::sys::pass;
use ostor::sys::process::{Names, pidfd_open};
use ostor::torture::TortureDevice;

use crate::harness::{assert_refused, new_map};

crate::suite![
    the_last_close_frees,
    a_reopened_map_is_a_new_file,
    every_open_is_its_own,
    a_forked_process_keeps_the_map,
    a_process_that_dies_closes_its_maps,
    a_passed_descriptor_is_the_map,
    a_descriptor_on_its_way_keeps_the_map,
    closing_while_the_owners_die,
    an_open_device_holds_its_module,
];

fn duplicate(map: &Map) -> Result<Map> {
    Ok(Map::from_fd(map.as_fd().try_clone_to_owned()?)?)
}

/// The number of open maps, less `before`.
fn maps_since(before: &uapi::ostor_stats) -> Result<u64> {
    Ok(device::stats()?.maps - before.maps)
}

fn the_last_close_frees() -> Result<()> {
    let before = device::stats()?;
    let map = new_map()?;
    map.update(Owner::Current, b"x", Mode::Any)?;
    let second = duplicate(&map)?;
    drop(map);
    assert_eq!(maps_since(&before)?, 1);
    assert_eq!(second.get(Owner::Current)?.value[..1], *b"x");
    drop(second);
    let after = device::stats()?;
    assert_eq!(
        (after.maps, after.dropped),
        (before.maps, before.dropped + 1)
    );
    Ok(())
}

fn a_reopened_map_is_a_new_file() -> Result<()> {
    let map = new_map()?;
    map.update(Owner::Current, b"x", Mode::Any)?;
    let path = format!("/proc/self/fd/{}", map.as_fd().as_raw_fd());
    let file: File = OpenOptions::new().read(true).write(true).open(path)?;
    assert_refused(Map::from_fd(OwnedFd::from(file)), Errno::EINVAL);
    Ok(())
}

fn every_open_is_its_own() -> Result<()> {
    let (map, file) = (new_map()?, device::open()?);
    assert_refused(Map::from_fd(OwnedFd::from(file)), Errno::EINVAL);
    assert_eq!(map.info()?.elements, 0);
    Ok(())
}

fn a_forked_process_keeps_the_map() -> Result<()> {
    let before = device::stats()?;
    let map = new_map()?;
    let (child, mut link) = Child::linked(|link| {
        let _ = link.receive();
        let stored = map.update(Owner::Current, b"x", Mode::NoExist);
        let _ = link.send(&format!("{:?}", stored.map(|elem| elem.seq)));
        i32::from(link.receive().is_err())
    })?;
    drop(map);
    assert_eq!(maps_since(&before)?, 1);
    link.send("store")?;
    assert_eq!(link.receive()?, "Ok(1)");
    link.send("exit")?;
    child.reap()?;
    assert_eq!(maps_since(&before)?, 0);
    Ok(())
}

fn a_process_that_dies_closes_its_maps() -> Result<()> {
    let before = device::stats()?;
    let parent = pidfd_open(nix::unistd::getpid(), Names::Process)?;
    let (child, mut link) = Child::linked(|link| {
        let maps = [0; 3].map(|_| {
            let map = new_map().ok()?;
            map.update(Owner::Current, b"own", Mode::Any).ok()?;
            map.update(Owner::task(&parent), b"parent", Mode::Any)
                .ok()?;
            Some(map)
        });
        let made = maps.iter().flatten().count();
        let _ = link.send(&made.to_string());
        i32::from(link.receive().is_err())
    })?;
    assert_eq!(link.receive()?, "3");
    assert_eq!(maps_since(&before)?, 3);
    child.kill_and_reap()?;
    let after = settle::stats_back_to(&before)?;
    assert_eq!(settle::alive(&after), settle::alive(&before));
    Ok(())
}

fn a_passed_descriptor_is_the_map() -> Result<()> {
    let before = device::stats()?;
    let (here, there) = UnixStream::pair()?;
    let (child, mut link) = Child::linked(|link| {
        let stored = pass::receive(&there)
            .ok()
            .and_then(|fd| Map::from_fd(fd).ok())
            .map(|map| {
                let stored = map.update(Owner::Current, b"from the child", Mode::NoExist);
                let _ = link.send(&format!("{:?}", stored.map(|elem| elem.seq)));
                link.receive()
            });
        i32::from(stored.is_none())
    })?;
    let map = new_map()?;
    pass::send(&here, &map)?;
    assert_eq!(link.receive()?, "Ok(1)");
    assert_eq!(
        map.get(Owner::task(&child))?.value[..14],
        *b"from the child"
    );
    drop(map);
    assert_eq!(maps_since(&before)?, 1, "the child still has it");
    link.send("exit")?;
    child.reap()?;
    assert_eq!(maps_since(&before)?, 0);
    Ok(())
}

fn a_descriptor_on_its_way_keeps_the_map() -> Result<()> {
    let before = device::stats()?;
    let (here, there) = UnixStream::pair()?;
    let map = new_map()?;
    map.update(Owner::Current, b"x", Mode::Any)?;
    pass::send(&here, &map)?;
    drop(map);
    assert_eq!(maps_since(&before)?, 1);
    let map = Map::from_fd(pass::receive(&there)?)?;
    assert_eq!(map.get(Owner::Current)?.value[..1], *b"x");
    pass::send(&here, &map)?;
    drop(map);
    drop((here, there));
    let gone = settle::until(|| Ok(device::stats()?.maps == before.maps))?;
    assert!(
        gone,
        "no descriptor of the map is left, and it still exists"
    );
    Ok(())
}

fn closing_while_the_owners_die() -> Result<()> {
    for _ in 0..20 {
        let maps = [new_map()?, new_map()?];
        let children = (0..16)
            .map(|_| Child::idle())
            .collect::<nix::Result<Vec<_>>>()?;
        for child in &children {
            for map in &maps {
                map.update(Owner::task(child), &[], Mode::NoExist)?;
            }
        }
        children.iter().try_for_each(Child::kill)?;
        let [first, second] = maps;
        drop(first);
        children
            .iter()
            .try_for_each(|child| child.reap().map(drop))?;
        drop(second);
    }
    Ok(())
}

/// The number of references to a module.
fn references(module: &str) -> Result<u32> {
    let count = fs::read_to_string(format!("/sys/module/{module}/refcnt"))?;
    Ok(count.trim().parse()?)
}

/// Two open files of a device hold its module.
fn two_hold<T>(module: &str, open: fn() -> device::Result<T>) -> Result<()> {
    let before = references(module)?;
    let devices = [open()?, open()?];
    // A module with too few references must not be unloaded here: the files would be left
    // without their functions.
    assert_eq!(references(module)?, before + 2);
    let unloaded = delete_module(&CString::new(module)?, DeleteModuleFlags::O_NONBLOCK);
    assert_eq!(unloaded, Err(Errno::EWOULDBLOCK));
    drop(devices);
    assert_eq!(references(module)?, before);
    Ok(())
}

/// Otherwise `rmmod` would free the functions of an open file. The kernel crate of Linux 7.2
/// does not take the reference.
fn an_open_device_holds_its_module() -> Result<()> {
    let mut flavours = ["owner_storage", "owner_storage_test"].into_iter();
    let flavour = flavours.find(|name| Path::new("/sys/module").join(name).exists());
    let flavour = flavour.context("no module is loaded")?;
    two_hold(flavour, device::open)?;
    two_hold(&format!("{flavour}_torture"), TortureDevice::open)
}
