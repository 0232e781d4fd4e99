// SPDX-License-Identifier: GPL-2.0
//! Sockets that fail after they have got values. User space can test that only with copies
//! of a listener: a socket of `socket()` has no descriptor until it is complete.

use std::io::ErrorKind;
use std::iter;
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use ostor::device::{Mode, Owner};
use ostor::sys::bpf::SkStorage;
use ostor::sys::socket::option_memory;
use ostor::torture::{Context, Op, OpKind, OpStats, Run, TortureDevice};
use ostor::{optmem, settle};

use crate::cases_memcg::cpus;
use crate::needs;

crate::suite![a_failing_socket_leaves_nothing];

/// Duration of the operations in another context, during which connections fail.
const TIME: Duration = Duration::from_millis(300);

/// Time from one batch to the next, the shortest possible.
const PERIOD: Duration = Duration::from_micros(100);

/// Connections fail after the kernel has copied the listener's socket and the module has
/// copied its value, because a copy of the listener's BPF storage exceeds the limit. The new
/// socket ends before it has a cookie, and its value must end with it. Meanwhile the
/// listener's value is read and replaced.
fn a_failing_socket_leaves_nothing() -> Result<()> {
    let (map, listener) = (needs::cloning_map()?, TcpListener::bind("127.0.0.1:0")?);
    listener.set_nonblocking(true)?;
    let torture = TortureDevice::open()?;
    map.update(Owner::socket(&listener), b"x", Mode::NoExist)?;
    let room = option_memory(&listener)?;
    let storage = SkStorage::cloning()?;
    storage.store(&listener, 1)?;
    let of_bpf = option_memory(&listener)? - room;
    ensure!(of_bpf > 1, "{of_bpf} bytes of BPF storage");

    // The limit has room for a copy of the module's value, but not for BPF's as well.
    let limit = optmem::OtherLimit::set(room + of_bpf)?;
    let op = |kind| Op {
        kind,
        mode: Mode::Any,
        map: &map,
        owner: Owner::socket(&listener),
        seed: 7,
    };
    let (ops, cpus) = ([OpKind::Update, OpKind::Lookup].map(op), cpus()?);
    let run = Run {
        context: Context::Softirq,
        ops: &ops,
        cpus: &cpus,
        period: PERIOD,
        below: false,
    };
    let connect = || TcpStream::connect(listener.local_addr()?);
    let (clients, seen) = thread::scope(|scope| {
        let elsewhere = scope.spawn(|| run.run(&torture, TIME));
        let attempts = iter::repeat_with(|| -> Result<_> {
            let client = connect()?;
            map.list()?;
            Ok(client)
        });
        let clients: Result<Vec<_>> = attempts.take_while(|_| !elsewhere.is_finished()).collect();
        (
            clients,
            elsewhere.join().expect("the driver does not panic"),
        )
    });
    let mut inside = OpStats::default();
    seen?.iter().for_each(|one| inside.add(&one.inside.into()));
    ensure!(
        inside.ok() > 0 && inside.failures().is_empty(),
        "{inside:?}"
    );
    let failed = map.info()?;
    ensure!(
        failed.clones > 0 && failed.clone_failures == 0,
        "{failed:?}"
    );
    let accepted = listener.accept().map(drop).map_err(|error| error.kind());
    assert_eq!(accepted, Err(ErrorKind::WouldBlock));
    drop(clients?);
    // A client that closes sends again, so another copy may be made and end.
    let all_ended = settle::until(|| {
        let now = map.info()?;
        Ok(now.elements == 1 && now.owner_deaths == now.clones)
    })?;
    ensure!(all_ended, "copies are left: {:?}", map.info()?);
    assert_eq!(map.get(Owner::socket(&listener))?.value[0], 7);

    drop(limit);
    listener.set_nonblocking(false)?;
    let _client = connect()?;
    let (server, _) = listener.accept()?;
    assert_eq!(map.get(Owner::socket(&server))?.value[0], 7);
    Ok(())
}
