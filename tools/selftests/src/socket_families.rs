// SPDX-License-Identifier: GPL-2.0
//! Sockets of every family as owners.

use std::os::fd::OwnedFd;

use anyhow::Result;
use libtest_mimic::Trial;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily as Family, SockFlag, SockProtocol, SockType as Type, socket, socketpair,
};
use ostor::device::{self, Kind, Mode, Owner, list_owner};
use ostor::sys::socket::{cookie, option_memory};

use crate::harness::{assert_elements_become, assert_refused, new_map, trial};
use crate::needs;

/// How a socket of the family is created: alone, or with its peer.
#[derive(Clone, Copy)]
enum Made {
    Alone(Family, Type, Option<SockProtocol>),
    Paired(Type),
}

const FAMILIES: [(&str, Made); 15] = [
    ("tcp_v4", Made::Alone(Family::Inet, Type::Stream, None)),
    ("tcp_v6", Made::Alone(Family::Inet6, Type::Stream, None)),
    ("udp_v4", Made::Alone(Family::Inet, Type::Datagram, None)),
    ("udp_v6", Made::Alone(Family::Inet6, Type::Datagram, None)),
    (
        "raw_v4",
        Made::Alone(Family::Inet, Type::Raw, Some(SockProtocol::Icmp)),
    ),
    (
        "raw_v6",
        Made::Alone(Family::Inet6, Type::Raw, Some(SockProtocol::IcmpV6)),
    ),
    ("unix_stream", Made::Alone(Family::Unix, Type::Stream, None)),
    (
        "unix_dgram",
        Made::Alone(Family::Unix, Type::Datagram, None),
    ),
    (
        "unix_seqpacket",
        Made::Alone(Family::Unix, Type::SeqPacket, None),
    ),
    ("unix_stream_pair", Made::Paired(Type::Stream)),
    ("unix_dgram_pair", Made::Paired(Type::Datagram)),
    (
        "netlink_route",
        Made::Alone(Family::Netlink, Type::Raw, Some(SockProtocol::NetlinkRoute)),
    ),
    (
        "netlink_uevent",
        Made::Alone(
            Family::Netlink,
            Type::Datagram,
            Some(SockProtocol::NetlinkKObjectUEvent),
        ),
    ),
    (
        "packet",
        Made::Alone(Family::Packet, Type::Raw, Some(SockProtocol::EthAll)),
    ),
    ("vsock", Made::Alone(Family::Vsock, Type::Stream, None)),
];

pub(crate) fn suite() -> Vec<Trial> {
    let trial = |(name, made)| {
        trial(format!("socket_families::{name}"), move || {
            needs::kind(Kind::Socket)?;
            owns_a_value(make(made)?)
        })
    };
    FAMILIES.into_iter().map(trial).collect()
}

/// A socket, and its peer if it has one.
fn make(made: Made) -> Result<Vec<OwnedFd>> {
    let flags = SockFlag::SOCK_CLOEXEC;
    let sockets = match made {
        Made::Alone(family, kind, protocol) => {
            socket(family, kind, flags, protocol).map(|socket| vec![socket])
        }
        Made::Paired(kind) => {
            socketpair(Family::Unix, kind, None, flags).map(|(one, other)| vec![one, other])
        }
    };
    match sockets {
        Err(errno @ (Errno::EAFNOSUPPORT | Errno::EPROTONOSUPPORT | Errno::ESOCKTNOSUPPORT)) => {
            needs::unable(format!("this kernel has no such sockets: {errno:?}"))
        }
        sockets => Ok(sockets?),
    }
}

/// All operations on a socket's value.
fn owns_a_value(sockets: Vec<OwnedFd>) -> Result<()> {
    let (map, before) = (new_map()?, device::stats()?);
    for (i, socket) in (0u8..).zip(&sockets) {
        let owner = Owner::socket(socket);
        assert_refused(map.get(owner), Errno::ENOENT);
        let at_first = option_memory(socket)?;
        map.update(owner, &[i, 1], Mode::NoExist)?;
        let charged = option_memory(socket)?;
        assert!(charged > at_first, "not charged");
        map.update(owner, &[i, 2], Mode::Exist)?;
        assert_eq!(option_memory(socket)?, charged);
        assert_eq!(list_owner(&map, owner)?.len(), 1);
        map.delete(owner)?;
        assert_eq!(option_memory(socket)?, at_first);
        map.update(owner, &[i, 3], Mode::NoExist)?;
    }
    for (i, socket) in (0u8..).zip(&sockets) {
        assert_eq!(map.get(Owner::socket(socket))?.value[..2], [i, 3]);
        let items = map.list()?;
        let id = cookie(socket)?;
        let item = items.iter().find(|item| item.entry.owner_id == id);
        assert!(
            item.is_some_and(|item| item.value[..2] == [i, 3]),
            "{items:?}"
        );
    }
    assert!(device::stats()?.charged > before.charged);
    let count = sockets.len() as u64;
    drop(sockets);
    assert_elements_become(&map, 0);
    assert_eq!(map.info()?.owner_deaths, count);
    assert_eq!(device::stats()?.charged, before.charged);
    Ok(())
}
