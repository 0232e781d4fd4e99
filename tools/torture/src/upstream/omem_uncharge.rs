// SPDX-License-Identifier: GPL-2.0
//! `sk_storage_omem_uncharge`: the option memory of a socket is 0 when it is freed.

use anyhow::Result;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use ostor::device::{self, Map, Mode, Owner};
use ostor::settle;
use ostor::sys::socket::option_memory;

use super::row::{Row, Wanted};

/// The value that upstream's test stores.
const VALUE: u32 = 0xdead_beef;

const DIFFERS: &str = "upstream's programs look at the socket when it is destroyed and when its \
                       storage has been freed; ours looks right before the close, and the module \
                       counts the option memory that a freed socket has left";

pub(super) fn run() -> Result<Row> {
    let map = Map::create(4)?;
    let (family, flags) = (AddressFamily::Inet6, SockFlag::SOCK_CLOEXEC);
    let socket = socket(family, SockType::Stream, flags, None)?;
    let before = device::stats()?;
    for value in [0, VALUE] {
        map.update(Owner::socket(&socket), &value.to_ne_bytes(), Mode::Any)?;
    }
    let found = map.get(Owner::socket(&socket))?.value == VALUE.to_ne_bytes();
    let charged = option_memory(&socket)?;
    drop(socket);
    settle::until(|| Ok(device::stats()?.charged == before.charged))?;
    let after = device::stats()?;
    let died = after.owner_deaths - before.owner_deaths;
    Ok(Row::new(DIFFERS)
        .upstream("socket found", Wanted::Exactly(2), u64::from(found) + died)
        .upstream(
            "omem when freed",
            Wanted::Exactly(0),
            after.omem_left - before.omem_left,
        )
        .and("charged before", Wanted::Some, charged)
        .and(
            "charged after",
            Wanted::Exactly(0),
            after.charged - before.charged,
        ))
}
