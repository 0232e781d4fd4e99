// SPDX-License-Identifier: GPL-2.0
//! A socket's elements are charged to its option memory: a create adds a charge, the end of
//! the element returns it, and the limit is kept.

use std::net::UdpSocket;

use anyhow::Result;
use nix::errno::Errno;
use ostor::device::{self, Kind, Map, Mode, Owner};
use ostor::object::Object;
use ostor::sys::socket::{attach_filter, option_memory};
use ostor::{optmem, settle};

use crate::harness::{assert_refused, new_map};
use crate::needs;

crate::suite![
    each_create_adds_and_each_delete_returns,
    a_larger_value_costs_more,
    replacing_passes_the_charge_on,
    reading_costs_nothing,
    closing_the_map_returns_it,
    closing_the_socket_returns_it,
    only_sockets_are_charged,
    other_charges_stay,
    a_refused_create_charges_nothing,
    at_the_limit_creating_is_refused,
    at_the_limit_replacing_succeeds,
    below_what_is_charged_already,
    another_socket_has_a_limit_of_its_own,
];

fn new_socket() -> Result<UdpSocket> {
    needs::kind(Kind::Socket)?;
    Ok(UdpSocket::bind("127.0.0.1:0")?)
}

/// Maps with values of the usual size.
fn new_maps<const N: usize>() -> Result<[Map; N]> {
    let maps: device::Result<Vec<_>> = (0..N).map(|_| new_map()).collect();
    Ok(maps?.try_into().expect("as many as were made"))
}

/// The bytes that the module has charged since `before`.
fn charged_since(before: &uapi::ostor_stats) -> Result<u64> {
    Ok(device::stats()?.charged - before.charged)
}

fn each_create_adds_and_each_delete_returns() -> Result<()> {
    let (maps, socket) = (new_maps::<5>()?, new_socket()?);
    let (owner, before) = (Owner::socket(&socket), device::stats()?);
    let mut charges = vec![option_memory(&socket)?];
    assert_eq!(charges[0], 0);
    for map in &maps {
        map.update(owner, b"x", Mode::NoExist)?;
        let now = option_memory(&socket)?;
        assert!(now - charges[charges.len() - 1] >= u64::from(map.info()?.element_size));
        assert_eq!(charged_since(&before)?, now);
        charges.push(now);
    }
    for map in maps.iter().rev() {
        charges.pop();
        map.delete(owner)?;
        let now = option_memory(&socket)?;
        assert_eq!(now, charges[charges.len() - 1]);
        assert_eq!(charged_since(&before)?, now);
    }
    assert_eq!(option_memory(&socket)?, 0);
    for map in &maps {
        map.get_or_create(owner, b"x")?;
    }
    for map in &maps {
        map.take(owner)?;
    }
    assert_eq!((option_memory(&socket)?, charged_since(&before)?), (0, 0));
    Ok(())
}

fn a_larger_value_costs_more() -> Result<()> {
    let socket = new_socket()?;
    let mut charges = Vec::new();
    for size in [1, 64, 1024, uapi::OSTOR_VALUE_SIZE_MAX] {
        let map = Map::create(size)?;
        map.update(Owner::socket(&socket), &[], Mode::NoExist)?;
        let charge = option_memory(&socket)?;
        assert!(
            charge > u64::from(size),
            "{charge} bytes for a value of {size}"
        );
        charges.push(charge);
    }
    assert!(charges.is_sorted_by(|a, b| a < b), "{charges:?}");
    assert_eq!(option_memory(&socket)?, 0);
    Ok(())
}

fn replacing_passes_the_charge_on() -> Result<()> {
    let (map, socket) = (new_map()?, new_socket()?);
    let (owner, before) = (Owner::socket(&socket), device::stats()?);
    map.update(owner, b"x", Mode::NoExist)?;
    let charged = option_memory(&socket)?;
    for mode in [Mode::Any, Mode::Exist] {
        for _ in 0..100 {
            map.update(owner, b"y", mode)?;
            assert_eq!(option_memory(&socket)?, charged);
        }
    }
    assert_eq!(charged_since(&before)?, charged);
    map.delete(owner)?;
    assert_eq!((option_memory(&socket)?, charged_since(&before)?), (0, 0));
    Ok(())
}

fn reading_costs_nothing() -> Result<()> {
    let (map, socket) = (new_map()?, new_socket()?);
    let owner = Owner::socket(&socket);
    assert_refused(map.get(owner), Errno::ENOENT);
    assert_eq!(option_memory(&socket)?, 0);
    map.update(owner, b"x", Mode::NoExist)?;
    let charged = option_memory(&socket)?;
    map.get(owner)?;
    map.get_or_create(owner, b"y")?;
    assert_refused(map.update(owner, b"y", Mode::NoExist), Errno::EEXIST);
    map.list()?;
    device::list_owner(&map, owner)?;
    assert_eq!(option_memory(&socket)?, charged);
    Ok(())
}

fn closing_the_map_returns_it() -> Result<()> {
    let ([one, other], socket) = (new_maps()?, new_socket()?);
    let (owner, before) = (Owner::socket(&socket), device::stats()?);
    one.update(owner, b"x", Mode::NoExist)?;
    let alone = option_memory(&socket)?;
    other.update(owner, b"x", Mode::NoExist)?;
    assert!(option_memory(&socket)? > alone);
    drop(other);
    assert_eq!(option_memory(&socket)?, alone);
    drop(one);
    assert_eq!((option_memory(&socket)?, charged_since(&before)?), (0, 0));
    Ok(())
}

fn closing_the_socket_returns_it() -> Result<()> {
    let (maps, socket) = (new_maps::<3>()?, new_socket()?);
    let before = device::stats()?;
    for map in &maps {
        map.update(Owner::socket(&socket), b"x", Mode::NoExist)?;
    }
    assert!(charged_since(&before)? > 0);
    drop(socket);
    let returned = settle::until(|| Ok(device::stats()?.charged == before.charged))?;
    let after = device::stats()?;
    assert!(returned, "{after:?}");
    assert_eq!(after.omem_left, before.omem_left);
    Ok(())
}

fn only_sockets_are_charged() -> Result<()> {
    needs::kind(Kind::Socket)?;
    let (map, before) = (new_map()?, device::stats()?);
    for kind in [Kind::Task, Kind::Cgroup, Kind::Netns] {
        if kind.is_served(&before) {
            let object = Object::new(kind)?;
            map.update(object.owner(), b"x", Mode::NoExist)?;
            assert_eq!(charged_since(&before)?, 0, "{kind}");
            object.end()?;
        }
    }
    Ok(())
}

/// A socket filter is charged to the option memory too.
fn other_charges_stay() -> Result<()> {
    let (map, socket) = (new_map()?, new_socket()?);
    let owner = Owner::socket(&socket);
    attach_filter(&socket)?;
    let filter = option_memory(&socket)?;
    assert!(filter > 0, "a filter is not charged on this kernel");
    let before = device::stats()?;
    map.update(owner, b"x", Mode::NoExist)?;
    let charged = charged_since(&before)?;
    assert_eq!(option_memory(&socket)?, filter + charged);
    map.delete(owner)?;
    assert_eq!(option_memory(&socket)?, filter);
    map.update(owner, b"x", Mode::NoExist)?;
    drop(map);
    assert_eq!(option_memory(&socket)?, filter);
    Ok(())
}

/// Maps in which the socket has as many values as the limit allows, and one map more.
fn fill(socket: &UdpSocket) -> Result<(Vec<Map>, Map)> {
    let mut full = Vec::new();
    loop {
        let map = Map::create(1024)?;
        match map.update(Owner::socket(socket), b"x", Mode::NoExist) {
            Ok(_) => full.push(map),
            Err(error) if error.errno() == Errno::ENOMEM && !full.is_empty() => {
                return Ok((full, map));
            }
            Err(error) => return Err(error.into()),
        }
        assert!(full.len() < 1000, "no limit is reached");
    }
}

fn a_refused_create_charges_nothing() -> Result<()> {
    let (_limit, socket) = (needs::small_optmem_limit()?, new_socket()?);
    let (_full, map) = fill(&socket)?;
    assert!(settle::until(|| Ok(map.info()?.pending == 0))?);
    let (charged, before) = (option_memory(&socket)?, device::stats()?);
    let info = map.info()?;
    for command in [0, 1] {
        let refused = match command {
            0 => map.update(Owner::socket(&socket), b"y", Mode::Any),
            _ => map.get_or_create(Owner::socket(&socket), b"y"),
        };
        assert_refused(refused, Errno::ENOMEM);
        assert_refused(map.get(Owner::socket(&socket)), Errno::ENOENT);
        assert_eq!(option_memory(&socket)?, charged);
    }
    let after = map.info()?;
    assert_eq!(after.nomem, info.nomem + 2);
    assert_eq!((after.elements, after.created), (0, 0));
    let after = settle::stats_back_to(&before)?;
    assert_eq!(settle::alive(&after), settle::alive(&before));
    Ok(())
}

fn at_the_limit_creating_is_refused() -> Result<()> {
    let (_limit, socket) = (needs::small_optmem_limit()?, new_socket()?);
    let (full, map) = fill(&socket)?;
    assert!(full.len() > 5, "only {} values fit", full.len());
    let charged = option_memory(&socket)?;
    assert!(charged <= optmem::limit()?, "{charged} bytes");
    let room = optmem::limit()? - charged;
    assert!(room < 2048, "{room} bytes of room, and a create is refused");
    // A smaller value may still fit, or is refused the same way.
    full[0].delete(Owner::socket(&socket))?;
    map.update(Owner::socket(&socket), b"y", Mode::NoExist)?;
    assert_eq!(option_memory(&socket)?, charged);
    assert_refused(
        full[0].update(Owner::socket(&socket), b"z", Mode::Any),
        Errno::ENOMEM,
    );
    Ok(())
}

fn at_the_limit_replacing_succeeds() -> Result<()> {
    let (_limit, socket) = (needs::small_optmem_limit()?, new_socket()?);
    let (full, _map) = fill(&socket)?;
    let charged = option_memory(&socket)?;
    for mode in [Mode::Any, Mode::Exist] {
        for map in &full {
            map.update(Owner::socket(&socket), b"new", mode)?;
            assert_eq!(map.get(Owner::socket(&socket))?.value[..3], *b"new");
            assert_eq!(option_memory(&socket)?, charged);
        }
    }
    Ok(())
}

/// Lowering the limit does not end values.
fn below_what_is_charged_already() -> Result<()> {
    let ([map, other], socket) = (new_maps()?, new_socket()?);
    let owner = Owner::socket(&socket);
    map.update(owner, b"x", Mode::NoExist)?;
    let charged = option_memory(&socket)?;
    let limit = optmem::OtherLimit::set(charged / 2)?;
    map.update(owner, b"y", Mode::Exist)?;
    assert_eq!(map.get(owner)?.value[..1], *b"y");
    assert_refused(other.update(owner, b"z", Mode::Any), Errno::ENOMEM);
    map.delete(owner)?;
    assert_eq!(option_memory(&socket)?, 0);
    assert_refused(map.update(owner, b"z", Mode::Any), Errno::ENOMEM);
    drop(limit);
    map.update(owner, b"z", Mode::NoExist)?;
    assert_eq!(option_memory(&socket)?, charged);
    Ok(())
}

fn another_socket_has_a_limit_of_its_own() -> Result<()> {
    let (_limit, socket) = (needs::small_optmem_limit()?, new_socket()?);
    let (_full, map) = fill(&socket)?;
    let other = new_socket()?;
    map.update(Owner::socket(&other), b"x", Mode::NoExist)?;
    assert_eq!(map.get(Owner::socket(&other))?.value[..1], *b"x");
    Ok(())
}
