// SPDX-License-Identifier: GPL-2.0
//! A socket's values live exactly as long as the socket, in whichever process its
//! descriptors are.

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use nix::errno::Errno;
use nix::sys::socket::{Backlog, SockaddrIn, bind, listen};
use ostor::device::{Kind, Map, Mode, Owner, list_owner};
use ostor::object::tcp_socket;
use ostor::process::Child;
use ostor::sys::pass;
use ostor::sys::process::pidfd_getfd;

use crate::harness::{assert_elements_become, assert_refused, new_map};
use crate::needs;

crate::suite![
    duplicates_are_the_same_socket,
    the_last_close_frees,
    passing_keeps_the_value,
    a_socket_on_its_way_keeps_the_value,
    a_forked_process_keeps_the_socket,
    a_process_that_dies_closes_its_sockets,
    another_processs_socket,
    both_ends_are_apart,
    a_closed_connection,
    a_value_is_the_sockets_not_the_address,
    binding_and_listening_keep_the_value,
    a_shut_down_socket_is_still_there,
];

/// A map, and a socket with a value in it.
fn stored() -> Result<(Map, UdpSocket)> {
    needs::kind(Kind::Socket)?;
    let (map, socket) = (new_map()?, UdpSocket::bind("127.0.0.1:0")?);
    map.update(Owner::socket(&socket), b"x", Mode::NoExist)?;
    Ok((map, socket))
}

#[track_caller]
fn assert_has_x(map: &Map, socket: &impl AsFd) {
    let found = map.get(Owner::socket(socket)).expect("it has a value");
    assert_eq!(found.value[..1], *b"x");
}

/// Asserts that values stay although a reference to their owners ended.
#[track_caller]
fn assert_elements_stay(map: &Map, elements: u64) {
    thread::sleep(Duration::from_millis(100));
    let info = map.info().expect("figures can be read");
    assert_eq!((info.elements, info.owner_deaths), (elements, 0));
}

fn duplicates_are_the_same_socket() -> Result<()> {
    let (map, socket) = stored()?;
    let copies = [socket.try_clone()?, socket.try_clone()?];
    for copy in &copies {
        assert_ne!(copy.as_raw_fd(), socket.as_raw_fd());
        assert_has_x(&map, copy);
    }
    assert_refused(
        map.update(Owner::socket(&copies[0]), b"y", Mode::NoExist),
        Errno::EEXIST,
    );
    assert_eq!(map.list()?.len(), 1);
    map.delete(Owner::socket(&copies[1]))?;
    assert_refused(map.get(Owner::socket(&socket)), Errno::ENOENT);
    Ok(())
}

fn the_last_close_frees() -> Result<()> {
    let (map, socket) = stored()?;
    let copy = socket.try_clone()?;
    drop(socket);
    assert_elements_stay(&map, 1);
    assert_has_x(&map, &copy);
    drop(copy);
    assert_elements_become(&map, 0);
    assert_eq!(map.info()?.owner_deaths, 1);
    Ok(())
}

fn passing_keeps_the_value() -> Result<()> {
    let (map, socket) = stored()?;
    let (here, there) = UnixStream::pair()?;
    let (child, mut link) = Child::linked(|link| {
        let Ok(socket) = pass::receive(&there) else {
            return 1;
        };
        let found = map.get(Owner::socket(&socket));
        let _ = link.send(&format!("{:?}", found.map(|elem| elem.value[0])));
        let stored = map.update(Owner::socket(&socket), b"y", Mode::Exist);
        let _ = link.send(&format!("{:?}", stored.map(|elem| elem.seq)));
        i32::from(link.receive().is_err())
    })?;
    pass::send(&here, &socket)?;
    assert_eq!(link.receive()?, format!("Ok({})", b'x'));
    assert_eq!(link.receive()?, "Ok(1)");
    assert_eq!(map.get(Owner::socket(&socket))?.value[..1], *b"y");
    drop(socket);
    assert_elements_stay(&map, 1);
    link.send("exit")?;
    child.reap()?;
    assert_elements_become(&map, 0);
    Ok(())
}

fn a_socket_on_its_way_keeps_the_value() -> Result<()> {
    let (map, socket) = stored()?;
    let (here, there) = UnixStream::pair()?;
    pass::send(&here, &socket)?;
    drop(socket);
    assert_elements_stay(&map, 1);
    let socket = pass::receive(&there)?;
    assert_has_x(&map, &socket);
    pass::send(&here, &socket)?;
    drop(socket);
    drop((here, there));
    assert_elements_become(&map, 0);
    Ok(())
}

fn a_forked_process_keeps_the_socket() -> Result<()> {
    let (map, socket) = stored()?;
    let (child, mut link) = Child::linked(|link| {
        let _ = link.receive();
        let found = map.get(Owner::socket(&socket));
        let _ = link.send(&format!("{:?}", found.map(|elem| elem.seq)));
        i32::from(link.receive().is_err())
    })?;
    drop(socket);
    assert_elements_stay(&map, 1);
    link.send("look")?;
    assert_eq!(link.receive()?, "Ok(1)");
    link.send("exit")?;
    child.reap()?;
    assert_elements_become(&map, 0);
    Ok(())
}

fn a_process_that_dies_closes_its_sockets() -> Result<()> {
    needs::kind(Kind::Socket)?;
    let map = new_map()?;
    let (child, mut link) = Child::linked(|link| {
        let sockets: Vec<_> = (0..10).filter_map(|_| tcp_socket().ok()).collect();
        let stored = sockets.iter().filter(|socket| {
            map.update(Owner::socket(socket), b"x", Mode::NoExist)
                .is_ok()
        });
        let _ = link.send(&stored.count().to_string());
        i32::from(link.receive().is_err())
    })?;
    assert_eq!(link.receive()?, "10");
    assert_eq!(map.info()?.elements, 10);
    child.kill_and_reap()?;
    assert_elements_become(&map, 0);
    assert_eq!(map.info()?.owner_deaths, 10);
    Ok(())
}

fn another_processs_socket() -> Result<()> {
    needs::kind(Kind::Socket)?;
    let map = new_map()?;
    let (child, mut link) = Child::linked(|link| {
        let Ok(socket) = UdpSocket::bind("127.0.0.1:0") else {
            return 1;
        };
        let stored = map.update(Owner::socket(&socket), b"x", Mode::NoExist);
        let _ = link.send(&format!("{} {}", stored.is_ok(), socket.as_raw_fd()));
        i32::from(link.receive().is_err())
    })?;
    let said = link.receive()?;
    let fd = said.strip_prefix("true ").expect("the child has stored");
    let socket: OwnedFd = pidfd_getfd(&child, fd.parse()?)?;
    assert_has_x(&map, &socket);
    child.kill_and_reap()?;
    assert_elements_stay(&map, 1);
    drop(socket);
    assert_elements_become(&map, 0);
    Ok(())
}

fn both_ends_are_apart() -> Result<()> {
    needs::kind(Kind::Socket)?;
    let map = new_map()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    let (server, _) = listener.accept()?;
    let (one, other) = UnixStream::pair()?;
    let sockets = [
        listener.as_fd(),
        client.as_fd(),
        server.as_fd(),
        one.as_fd(),
        other.as_fd(),
    ];
    for (i, socket) in (0u8..).zip(&sockets) {
        map.update(Owner::socket(socket), &[i], Mode::NoExist)?;
    }
    for (i, socket) in (0u8..).zip(&sockets) {
        assert_eq!(map.get(Owner::socket(socket))?.value[0], i);
        assert_eq!(list_owner(&map, Owner::socket(socket))?.len(), 1);
    }
    Ok(())
}

fn a_closed_connection() -> Result<()> {
    needs::kind(Kind::Socket)?;
    let map = new_map()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    let (server, _) = listener.accept()?;
    for socket in [&client, &server] {
        map.update(Owner::socket(socket), b"x", Mode::NoExist)?;
    }
    drop(client);
    // The server's socket exists until it is closed, also without a peer.
    assert_has_x(&map, &server);
    drop(server);
    assert_elements_become(&map, 0);
    assert_eq!(map.info()?.owner_deaths, 2);
    Ok(())
}

fn a_value_is_the_sockets_not_the_address() -> Result<()> {
    let (map, socket) = stored()?;
    let address = socket.local_addr()?;
    drop(socket);
    let socket = UdpSocket::bind(address)?;
    assert_refused(map.get(Owner::socket(&socket)), Errno::ENOENT);
    assert_elements_become(&map, 0);
    Ok(())
}

fn binding_and_listening_keep_the_value() -> Result<()> {
    needs::kind(Kind::Socket)?;
    let (map, socket) = (new_map()?, tcp_socket()?);
    map.update(Owner::socket(&socket), b"x", Mode::NoExist)?;
    bind(socket.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0))?;
    assert_has_x(&map, &socket);
    listen(&socket, Backlog::new(8)?)?;
    assert_has_x(&map, &socket);
    drop(socket);
    assert_elements_become(&map, 0);
    Ok(())
}

fn a_shut_down_socket_is_still_there() -> Result<()> {
    needs::kind(Kind::Socket)?;
    let (map, (one, _other)) = (new_map()?, UnixStream::pair()?);
    map.update(Owner::socket(&one), b"x", Mode::NoExist)?;
    one.shutdown(std::net::Shutdown::Both)?;
    assert_has_x(&map, &one);
    assert_elements_stay(&map, 1);
    Ok(())
}
