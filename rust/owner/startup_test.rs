// SPDX-License-Identifier: GPL-2.0

//! The proof that hooks are called: when the module is loaded, an object of each kind is made, gets
//! a value, and is ended. No other map exists at that time.
//!
//! A function can be there and not be called: where the linker inlines it, or the compiler makes a
//! copy of it for some callers, a hook at its entry is silent.
//!
//! Network namespaces are left out. Nothing exported makes one, and their notice is an interface
//! that the kernel offers to modules, with no function that could be missed.

use super::{
    cgroup::{
        self,
        Cgroup, //
    },
    kinds,
    socket::{
        self,
        Socket, //
    },
    task, //
};
use crate::{
    shim,
    storage::{
        create::Mode,
        map::ByteMap,
        owner::{
            Owner,
            OwnerId,
            OwnerOps, //
        },
        runtime::Runtime, //
    },
    sync::{
        clock::Stopwatch,
        compat::EOPNOTSUPP,
        rcu, //
    }, //
};
use core::ptr::NonNull;
use kernel::{
    bindings,
    error::from_err_ptr,
    ffi::c_void,
    prelude::*,
    sync::aref::ARef,
    task::Task,
    time::{
        delay::fsleep,
        Delta, //
    }, //
};

/// How long a notice may take. A cgroup's comes some grace periods and some works after its end.
const LIMIT: Delta = Delta::from_secs(10);

/// Between two looks.
const TURN: Delta = Delta::from_millis(1);

/// What came out for one hook.
pub(super) enum Finding {
    /// It was called.
    Called,
    /// What it is to tell of happened, and it was not called.
    Silent,
    /// No object could be made.
    Unknown(Error),
}

/// What came out.
pub(super) struct Findings {
    /// For the first notice of death of each kind, by number.
    pub(super) kinds: [Finding; kinds::NUMBERS],
    /// For the copies that accepted sockets get.
    pub(super) copies: Finding,
}

/// Makes and ends the objects, and waits for what there is to see: a moment, or [`LIMIT`] if
/// something does not come. `is_seen` says whether all that the caller looks at itself has come. May
/// sleep.
pub(super) fn run(is_seen: &mut dyn FnMut() -> bool) -> Result<Findings> {
    let runtime = Runtime::get().ok_or(ENODEV)?;
    let map = ByteMap::new_cloning(size_of::<u64>())?;
    let task = end_task(|task| store(&map, task));
    let cgroup = end_cgroup(|cgroup| store(&map, cgroup));
    let socket = end_socket(&map);
    let child = end_accepted(&map);

    let is_noticed = |ops: &OwnerOps, made: bool| !made || kinds::was_noticed(ops);
    let is_child_gone = || !matches!(&child, Ok(Some(id)) if runtime.has_storage(*id));
    let watch = Stopwatch::start();
    while !(is_noticed(&task::OPS, task.is_ok())
        && is_noticed(&cgroup::OPS, cgroup.is_ok())
        && is_noticed(&socket::OPS, socket.is_ok())
        && is_child_gone()
        && is_seen())
        && watch.elapsed_ns() < LIMIT.as_nanos().unsigned_abs()
    {
        fsleep(TURN);
    }

    let mut findings = Findings {
        kinds: [const { Finding::Called }; kinds::NUMBERS],
        copies: match &child {
            Ok(Some(_)) if is_child_gone() => Finding::Called,
            Ok(_) => Finding::Silent,
            Err(err) => Finding::Unknown(*err),
        },
    };
    let mut find = |ops: &OwnerOps, made: Result| {
        findings.kinds[ops.kind as usize] = match made {
            Ok(()) if kinds::was_noticed(ops) => Finding::Called,
            Ok(()) => Finding::Silent,
            Err(err) => Finding::Unknown(err),
        };
    };
    find(&task::OPS, task);
    find(&cgroup::OPS, cgroup);
    find(&socket::OPS, socket.map(drop));
    // The end of the map must not give anything back to a socket whose notice did not come.
    for id in [socket.ok(), child.ok().flatten()].into_iter().flatten() {
        runtime.owner_gone(id);
    }
    Ok(findings)
}

fn store(map: &ByteMap, owner: &impl Owner) -> Result {
    map.put(owner, Mode::NoExist, &[], &rcu::read_lock())?;
    Ok(())
}

/// Makes a task, passes it to `store`, and ends it. May sleep.
pub(crate) fn end_task(store: impl FnOnce(&Task) -> Result) -> Result {
    // SAFETY: An FFI call with no requirement in task context.
    let task = from_err_ptr(unsafe { shim::ostor_startup_task() })?;
    // SAFETY: A thread that has not run yet stays until it is stopped.
    let stored = store(unsafe { &*task.cast_const().cast::<Task>() });
    // SAFETY: Made above, and not used any more.
    unsafe { bindings::kthread_stop(task) };
    stored
}

fn end_socket(map: &ByteMap) -> Result<OwnerId> {
    let socket = Socket::bare()?;
    store(map, &*socket)?;
    Ok(socket.id())
}

/// Accepts a connection from a listener that has a value. Returns the identity of the accepted
/// socket if it has one as well.
fn end_accepted(map: &ByteMap) -> Result<Option<OwnerId>> {
    // SAFETY: An FFI call with no requirement in task context.
    let listener = Tcp::new(unsafe { shim::ostor_startup_listen() })?;
    store(map, &*listener.socket()?)?;
    // SAFETY: As above; the listener is there.
    let _client = Tcp::new(unsafe { shim::ostor_startup_connect(listener.0.as_ptr()) })?;
    // SAFETY: As above.
    let accepted = Tcp::new(unsafe { shim::ostor_startup_accept(listener.0.as_ptr()) })?;
    let socket = accepted.socket()?;
    let has_value = map.get(&*socket, &rcu::read_lock()).is_some();
    Ok(has_value.then(|| socket.id()))
}

/// A socket of TCP, ended at once when it is dropped.
struct Tcp(NonNull<c_void>);

impl Tcp {
    fn new(socket: *mut c_void) -> Result<Self> {
        Ok(Self(NonNull::new(from_err_ptr(socket)?).ok_or(EOPNOTSUPP)?))
    }

    fn socket(&self) -> Result<ARef<Socket>> {
        // SAFETY: An FFI call with a socket that is there.
        let socket = unsafe { shim::ostor_startup_socket_sk(self.0.as_ptr()) };
        // SAFETY: A reference.
        unsafe { Socket::adopt(socket) }
    }
}

impl Drop for Tcp {
    fn drop(&mut self) {
        // SAFETY: Made by the shim, and not used any more.
        unsafe { shim::ostor_startup_socket_end(self.0.as_ptr()) };
    }
}

/// Makes a cgroup, passes it to `store`, and removes it. May sleep.
pub(crate) fn end_cgroup(store: impl FnOnce(&Cgroup) -> Result) -> Result {
    let mount = Mount::new()?;
    // SAFETY: An FFI call with a mount that is there.
    let cgroup = unsafe { shim::ostor_startup_cgroup(mount.0.as_ptr()) };
    // SAFETY: A reference, or an error.
    let cgroup = unsafe { Cgroup::adopt(cgroup) }?;
    let stored = store(&cgroup);
    // SAFETY: As above.
    let removed = unsafe { shim::ostor_startup_cgroup_remove(mount.0.as_ptr()) };
    stored.and(kernel::error::to_result(removed))
}

/// The file system of cgroups, until it is dropped, which may sleep.
struct Mount(NonNull<c_void>);

impl Mount {
    fn new() -> Result<Self> {
        // SAFETY: An FFI call with no requirement in task context.
        let mount = from_err_ptr(unsafe { shim::ostor_startup_cgroup_mount() })?;
        Ok(Self(NonNull::new(mount).ok_or(EOPNOTSUPP)?))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // SAFETY: Mounted by `new`.
        unsafe { shim::ostor_startup_cgroup_unmount(self.0.as_ptr()) };
    }
}
