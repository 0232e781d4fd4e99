// SPDX-License-Identifier: GPL-2.0
//! Network namespaces as owners, by every name, until the last reference is gone.

use std::fs::File;
use std::os::unix::net::UnixDatagram;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use ostor::device::{Kind, Map, Mode, Owner, list_owner};
use ostor::netns::{self, Netns};
use ostor::process::Child;
use ostor::sys::socket::netns_cookie;

use crate::death::idle;
use crate::harness::{assert_elements_become, assert_refused, new_map};
use crate::needs;

crate::suite![
    every_file_of_it_is_the_same_owner,
    namespaces_are_apart,
    the_first_one_owns_values,
    a_process_in_it_keeps_it,
    a_socket_in_it_keeps_it,
    an_open_file_keeps_it,
    a_socket_in_it_is_another_owner,
];

fn new() -> Result<(Map, Netns)> {
    needs::kind(Kind::Netns)?;
    Ok((new_map()?, Netns::new()?))
}

/// Asserts that a value stays although a reference to its owner ended.
#[track_caller]
fn assert_stays(map: &Map) {
    thread::sleep(Duration::from_millis(300));
    let info = map.info().expect("figures can be read");
    assert_eq!((info.elements, info.owner_deaths), (1, 0));
}

/// A process in a new network namespace.
fn process_in_its_own() -> Result<(Child, File)> {
    let (child, mut link) = Child::linked(|link| {
        let moved = unshare(CloneFlags::CLONE_NEWNET);
        let _ = link.send(&format!("{moved:?}"));
        idle()
    })?;
    assert_eq!(link.receive()?, "Ok(())");
    let file = File::open(format!("/proc/{}/ns/net", child.pid()))?;
    Ok((child, file))
}

fn every_file_of_it_is_the_same_owner() -> Result<()> {
    needs::kind(Kind::Netns)?;
    let map = new_map()?;
    let (child, file) = process_in_its_own()?;
    map.update(Owner::netns(&file), b"x", Mode::NoExist)?;
    let again = File::open(format!("/proc/{}/ns/net", child.pid()))?;
    let thread = File::open(format!("/proc/{0}/task/{0}/ns/net", child.pid()))?;
    for file in [&file, &again, &thread, &file.try_clone()?] {
        assert_eq!(map.get(Owner::netns(file))?.value[..1], *b"x");
        assert_eq!(list_owner(&map, Owner::netns(file))?.len(), 1);
    }
    Ok(())
}

fn namespaces_are_apart() -> Result<()> {
    let (map, one) = new()?;
    let other = Netns::new()?;
    map.update(Owner::netns(&one), b"one", Mode::NoExist)?;
    assert_refused(map.get(Owner::netns(&other)), Errno::ENOENT);
    map.update(Owner::netns(&other), b"other", Mode::NoExist)?;
    drop(one);
    assert_elements_become(&map, 1);
    assert_eq!(map.get(Owner::netns(&other))?.value[..5], *b"other");
    assert_eq!(map.list()?[0].entry.owner_id, other.cookie());
    Ok(())
}

/// It never ends, so its values end only with their maps.
fn the_first_one_owns_values() -> Result<()> {
    needs::kind(Kind::Netns)?;
    let (map, first) = (new_map()?, netns::current()?);
    map.update(Owner::netns(&first), b"x", Mode::NoExist)?;
    let same = File::open("/proc/1/ns/net")?;
    assert_eq!(map.get(Owner::netns(&same))?.value[..1], *b"x");
    assert_eq!(map.list()?[0].entry.owner_id, first.cookie());
    Ok(())
}

fn a_process_in_it_keeps_it() -> Result<()> {
    needs::kind(Kind::Netns)?;
    let map = new_map()?;
    let (child, file) = process_in_its_own()?;
    map.update(Owner::netns(&file), b"x", Mode::NoExist)?;
    drop(file);
    assert_stays(&map);
    child.kill_and_reap()?;
    assert_elements_become(&map, 0);
    assert_eq!(map.info()?.owner_deaths, 1);
    Ok(())
}

fn an_open_file_keeps_it() -> Result<()> {
    needs::kind(Kind::Netns)?;
    let map = new_map()?;
    let (child, file) = process_in_its_own()?;
    map.update(Owner::netns(&file), b"x", Mode::NoExist)?;
    child.kill_and_reap()?;
    assert_stays(&map);
    assert_eq!(map.get(Owner::netns(&file))?.value[..1], *b"x");
    map.update(Owner::netns(&file), b"y", Mode::Exist)?;
    drop(file);
    assert_elements_become(&map, 0);
    Ok(())
}

/// A namespace that only a socket keeps, once the file is dropped.
fn socket_in_its_own() -> Result<(UnixDatagram, Netns)> {
    let made = thread::spawn(|| -> Result<_> {
        unshare(CloneFlags::CLONE_NEWNET)?;
        Ok((UnixDatagram::unbound()?, netns::current()?))
    });
    made.join().expect("the thread does not panic")
}

fn a_socket_in_it_keeps_it() -> Result<()> {
    needs::kind(Kind::Netns)?;
    let map = new_map()?;
    let (socket, netns) = socket_in_its_own()?;
    assert_eq!(netns_cookie(&socket)?, netns.cookie());
    map.update(Owner::netns(&netns), b"x", Mode::NoExist)?;
    drop(netns);
    assert_stays(&map);
    drop(socket);
    assert_elements_become(&map, 0);
    Ok(())
}

fn a_socket_in_it_is_another_owner() -> Result<()> {
    needs::kind(Kind::Netns)?;
    needs::kind(Kind::Socket)?;
    let map = new_map()?;
    let (socket, netns) = socket_in_its_own()?;
    map.update(Owner::netns(&netns), b"netns", Mode::NoExist)?;
    assert_refused(map.get(Owner::socket(&socket)), Errno::ENOENT);
    map.update(Owner::socket(&socket), b"socket", Mode::NoExist)?;
    assert_eq!(map.get(Owner::netns(&netns))?.value[..5], *b"netns");
    drop(socket);
    assert_elements_become(&map, 1);
    drop(netns);
    assert_elements_become(&map, 0);
    Ok(())
}
