// SPDX-License-Identifier: GPL-2.0
//! Sockets of accepted connections get copies of the listener's values in maps that clone.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};

use anyhow::Result;
use nix::errno::Errno;
use ostor::device::{self, Map, Mode, Owner, list_owner};
use ostor::optmem;
use ostor::sys::socket::{cookie, option_memory};

use crate::harness::{assert_elements_become, assert_refused, new_map};
use crate::needs;

crate::suite![
    only_maps_that_clone_clone,
    a_copy_is_an_element_like_others,
    a_copy_is_charged_to_its_socket,
    over_ipv6,
    in_every_map_that_clones,
    new_connections_get_the_new_value,
    a_copy_is_independent,
    a_listener_without_a_value,
    connections_that_are_not_accepted,
    a_listener_that_is_closed,
    a_map_that_is_closed,
    a_copy_for_which_there_is_no_room,
    unix_sockets_get_none,
    a_value_of_the_largest_size,
];

/// A listener.
fn listen() -> Result<TcpListener> {
    Ok(TcpListener::bind("127.0.0.1:0")?)
}

/// A new connection: the connecting and the accepted socket.
fn connect(listener: &TcpListener) -> Result<(TcpStream, TcpStream)> {
    let client = TcpStream::connect(listener.local_addr()?)?;
    Ok((client, listener.accept()?.0))
}

/// Asserts that something written at one end arrives at the other.
fn assert_works((client, server): &mut (TcpStream, TcpStream)) -> Result<()> {
    client.write_all(b"ping")?;
    let mut ping = [0; 4];
    server.read_exact(&mut ping)?;
    assert_eq!(ping, *b"ping");
    Ok(())
}

#[track_caller]
fn assert_value(map: &Map, socket: &TcpStream, value: &[u8]) {
    let found = map.get(Owner::socket(socket)).expect("it has a value");
    assert_eq!(found.value[..value.len()], *value);
}

fn only_maps_that_clone_clone() -> Result<()> {
    let (cloning, plain, listener) = (needs::cloning_map()?, new_map()?, listen()?);
    for map in [&cloning, &plain] {
        map.update(Owner::socket(&listener), b"x", Mode::NoExist)?;
    }
    let mut connection = connect(&listener)?;
    let (client, server) = &connection;
    assert_value(&cloning, server, b"x");
    assert_refused(plain.get(Owner::socket(server)), Errno::ENOENT);
    for map in [&cloning, &plain] {
        assert_refused(map.get(Owner::socket(client)), Errno::ENOENT);
    }
    assert_eq!((cloning.info()?.clones, plain.info()?.clones), (1, 0));
    assert_eq!((cloning.info()?.elements, plain.info()?.elements), (2, 1));
    assert_works(&mut connection)
}

fn a_copy_is_an_element_like_others() -> Result<()> {
    let (map, listener) = (needs::cloning_map()?, listen()?);
    map.update(Owner::socket(&listener), b"x", Mode::NoExist)?;
    let connections = [connect(&listener)?, connect(&listener)?];
    let mut listed: Vec<_> = map
        .list()?
        .iter()
        .map(|item| (item.entry.seq, item.entry.owner_kind, item.entry.owner_id))
        .collect();
    listed.sort();
    let [(_, one), (_, other)] = &connections;
    let expected = [
        (1, uapi::OSTOR_KIND_SOCKET, cookie(&listener)?),
        (2, uapi::OSTOR_KIND_SOCKET, cookie(one)?),
        (3, uapi::OSTOR_KIND_SOCKET, cookie(other)?),
    ];
    assert_eq!(listed, expected);
    let owned = list_owner(&map, Owner::socket(one))?;
    assert_eq!(owned.len(), 1);
    assert_eq!((owned[0].map_id, owned[0].seq), (map.info()?.id, 2));
    map.update(Owner::socket(one), b"y", Mode::Exist)?;
    assert_eq!(map.take(Owner::socket(one))?.value[..1], *b"y");
    assert_refused(map.get(Owner::socket(one)), Errno::ENOENT);
    assert!(map.get_or_create(Owner::socket(one), b"z")?.created);
    drop(connections);
    assert_elements_become(&map, 1);
    assert_eq!(map.info()?.owner_deaths, 2);
    Ok(())
}

fn a_copy_is_charged_to_its_socket() -> Result<()> {
    let (map, listener) = (needs::cloning_map()?, listen()?);
    map.update(Owner::socket(&listener), b"x", Mode::NoExist)?;
    let charged = option_memory(&listener)?;
    let before = device::stats()?;
    let (client, server) = connect(&listener)?;
    assert_eq!(option_memory(&server)?, charged);
    assert_eq!(option_memory(&client)?, 0);
    assert_eq!(device::stats()?.charged, before.charged + charged);
    map.delete(Owner::socket(&server))?;
    assert_eq!(option_memory(&server)?, 0);
    assert_eq!(option_memory(&listener)?, charged);
    Ok(())
}

fn over_ipv6() -> Result<()> {
    let map = needs::cloning_map()?;
    let Ok(listener) = TcpListener::bind("[::1]:0") else {
        return needs::unable("there is no IPv6 on the loopback");
    };
    map.update(Owner::socket(&listener), b"x", Mode::NoExist)?;
    let mut connection = connect(&listener)?;
    assert_value(&map, &connection.1, b"x");
    assert_works(&mut connection)
}

fn in_every_map_that_clones() -> Result<()> {
    let listener = listen()?;
    let maps = (0..20).map(|_| needs::cloning_map());
    let maps = maps.collect::<Result<Vec<_>>>()?;
    for (i, map) in (0u8..).zip(&maps) {
        map.update(Owner::socket(&listener), &[i], Mode::NoExist)?;
    }
    let (_client, server) = connect(&listener)?;
    for (i, map) in (0u8..).zip(&maps) {
        assert_value(map, &server, &[i]);
    }
    assert_eq!(list_owner(&maps[0], Owner::socket(&server))?.len(), 20);
    Ok(())
}

fn new_connections_get_the_new_value() -> Result<()> {
    let (map, listener) = (needs::cloning_map()?, listen()?);
    let mut connections = Vec::new();
    for value in [b"first", b"again", b"third"] {
        map.update(Owner::socket(&listener), value, Mode::Any)?;
        connections.push((connect(&listener)?, value));
    }
    for ((_, server), value) in &connections {
        assert_value(&map, server, *value);
    }
    map.delete(Owner::socket(&listener))?;
    let (_client, server) = connect(&listener)?;
    assert_refused(map.get(Owner::socket(&server)), Errno::ENOENT);
    assert_eq!(map.info()?.clones, 3);
    Ok(())
}

fn a_copy_is_independent() -> Result<()> {
    let (map, listener) = (needs::cloning_map()?, listen()?);
    map.update(Owner::socket(&listener), b"x", Mode::NoExist)?;
    let [(_a, one), (_b, other)] = [connect(&listener)?, connect(&listener)?];
    map.update(Owner::socket(&one), b"one", Mode::Exist)?;
    assert_value(&map, &other, b"x\0");
    assert_eq!(map.get(Owner::socket(&listener))?.value[..2], *b"x\0");
    map.update(Owner::socket(&listener), b"listener", Mode::Exist)?;
    assert_value(&map, &one, b"one");
    assert_value(&map, &other, b"x\0");
    map.delete(Owner::socket(&listener))?;
    assert_value(&map, &one, b"one");
    Ok(())
}

fn a_listener_without_a_value() -> Result<()> {
    let (map, listener) = (needs::cloning_map()?, listen()?);
    let (client, server) = connect(&listener)?;
    for socket in [&client, &server] {
        assert_refused(map.get(Owner::socket(socket)), Errno::ENOENT);
    }
    map.update(Owner::socket(&listener), b"late", Mode::NoExist)?;
    assert_refused(map.get(Owner::socket(&server)), Errno::ENOENT);
    let info = map.info()?;
    assert_eq!((info.clones, info.clone_failures, info.elements), (0, 0, 1));
    Ok(())
}

/// The socket is created with the connection; accept() only gives it a descriptor.
fn connections_that_are_not_accepted() -> Result<()> {
    let (map, listener) = (needs::cloning_map()?, listen()?);
    map.update(Owner::socket(&listener), b"x", Mode::NoExist)?;
    let address = listener.local_addr()?;
    let _clients = [TcpStream::connect(address)?, TcpStream::connect(address)?];
    assert_elements_become(&map, 3);
    drop(listener);
    assert_elements_become(&map, 0);
    assert_eq!(map.info()?.owner_deaths, 3);
    Ok(())
}

fn a_listener_that_is_closed() -> Result<()> {
    let (map, listener) = (needs::cloning_map()?, listen()?);
    map.update(Owner::socket(&listener), b"x", Mode::NoExist)?;
    let mut connection = connect(&listener)?;
    drop(listener);
    assert_elements_become(&map, 1);
    assert_value(&map, &connection.1, b"x");
    assert_works(&mut connection)
}

fn a_map_that_is_closed() -> Result<()> {
    let (map, stays, listener) = (needs::cloning_map()?, needs::cloning_map()?, listen()?);
    for map in [&map, &stays] {
        map.update(Owner::socket(&listener), b"x", Mode::NoExist)?;
    }
    let (_client, first) = connect(&listener)?;
    drop(map);
    assert_value(&stays, &first, b"x");
    let mut connection = connect(&listener)?;
    assert_value(&stays, &connection.1, b"x");
    assert_eq!(list_owner(&stays, Owner::socket(&connection.1))?.len(), 1);
    drop(stays);
    assert_works(&mut connection)?;
    assert_works(&mut connect(&listener)?)
}

fn a_copy_for_which_there_is_no_room() -> Result<()> {
    let (map, listener) = (needs::cloning_map()?, listen()?);
    map.update(Owner::socket(&listener), b"x", Mode::NoExist)?;
    let limit = optmem::OtherLimit::set(option_memory(&listener)? / 2)?;
    let mut connection = connect(&listener)?;
    drop(limit);
    let info = map.info()?;
    assert_eq!((info.clones, info.clone_failures, info.elements), (0, 1, 1));
    let server = Owner::socket(&connection.1);
    assert_refused(map.get(server), Errno::ENOENT);
    assert_eq!(option_memory(&connection.1)?, 0);
    map.update(server, b"y", Mode::NoExist)?;
    assert_works(&mut connection)?;
    let second = connect(&listener)?;
    assert_value(&map, &second.1, b"x");
    Ok(())
}

fn unix_sockets_get_none() -> Result<()> {
    let map = needs::cloning_map()?;
    let path = format!("/tmp/ostor-clones-{}", std::process::id());
    let listener = UnixListener::bind(&path)?;
    map.update(Owner::socket(&listener), b"x", Mode::NoExist)?;
    let client = UnixStream::connect(&path);
    std::fs::remove_file(&path)?;
    let (client, (server, _)) = (client?, listener.accept()?);
    for socket in [&client, &server] {
        assert_refused(map.get(Owner::socket(socket)), Errno::ENOENT);
    }
    assert_eq!(map.info()?.clones, 0);
    Ok(())
}

fn a_value_of_the_largest_size() -> Result<()> {
    needs::cloning_map()?;
    let (map, listener) = (Map::create_cloning(uapi::OSTOR_VALUE_SIZE_MAX)?, listen()?);
    let value: Vec<u8> = (0..uapi::OSTOR_VALUE_SIZE_MAX).map(|i| i as u8).collect();
    map.update(Owner::socket(&listener), &value, Mode::NoExist)?;
    let (_client, server) = connect(&listener)?;
    assert!(map.get(Owner::socket(&server))?.value == value);
    Ok(())
}
