// SPDX-License-Identifier: GPL-2.0
//! Sockets that fail after they have been given values. User space sees to that of
//! copies of a listener only: a socket of `socket()` has no descriptor before it is
//! finished.

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

/// How long operations run in another context, while connections fail.
const TIME: Duration = Duration::from_millis(300);

/// Time from batch to batch: the shortest that there is.
const PERIOD: Duration = Duration::from_micros(100);

/// Connections whose socket fails when the kernel has copied the listener and has given
/// the copy a value, since there is no room for a copy of the listener's BPF storage. The
/// socket ends before it has a cookie of its own, and its value must end with it, while
/// the listener's is read and replaced.
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

    // A copy of ours fits, and not one of BPF's beside it.
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
        let elsewhere = scope.spawn(|| run.run(&torture, &map, TIME));
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
    // A connection that closes is tried once more.
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
