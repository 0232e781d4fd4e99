// SPDX-License-Identifier: GPL-2.0

//! The startup test of the hooks: as the module is loaded, it makes an object of each kind, stores
//! a value for it, and ends it. No other map exists at that time.
//!
//! A kernel can have a function and never call it: the linker inlines it, or the compiler makes a
//! copy of it for some callers. A hook at its entry is then not called.
//!
//! Network namespaces are left out. No exported function makes one. Their notice is an interface
//! for modules, and needs no hook of a function.

use super::{
    cgroup::{
        self,
        Cgroup, //
    },
    kinds,
    owner_ref::{
        self,
        Init,
        OwnerRef, //
    },
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
            OwnerId, //
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

/// Longest wait for the notices. A cgroup's comes some grace periods and some works after its
/// removal.
const LIMIT: Delta = Delta::from_secs(10);

/// Wait between two checks.
const INTERVAL: Delta = Delta::from_millis(1);

/// What the test found out of one hook.
pub(super) enum Finding {
    /// The hook was called.
    Called,
    /// The object ended, and the hook was not called.
    Silent,
    /// The object could not be made.
    Unknown(Error),
}

impl Finding {
    /// The finding of an object that was made, or not, and whose hook was called, or not.
    fn of(made: Result, is_called: bool) -> Self {
        match made {
            Ok(()) if is_called => Self::Called,
            Ok(()) => Self::Silent,
            Err(err) => Self::Unknown(err),
        }
    }
}

/// What the test found out.
pub(super) struct Findings {
    /// Of the first notice of death, by kind.
    pub(super) kinds: [Finding; kinds::NUMBERS],
    /// Of the copies for accepted sockets.
    pub(super) copies: Finding,
}

/// Makes and ends the objects, and waits until all hooks were called, [`LIMIT`] at most. `is_seen`
/// returns whether those hooks were called that the caller checks itself. May sleep.
pub(super) fn run(is_seen: &mut dyn FnMut() -> bool) -> Result<Findings> {
    let runtime = Runtime::get().ok_or(ENODEV)?;
    let map = ByteMap::new_cloning(size_of::<u64>())?;
    let task = end_task(|task| store(&map, OwnerRef::new(task)));
    let cgroup = end_cgroup(|cgroup| store(&map, OwnerRef::new(cgroup)));
    let socket = end_socket(&map);
    let child = end_accepted(&map);

    let made = [
        (&task::OPS, task),
        (&cgroup::OPS, cgroup),
        (&socket::OPS, socket.map(drop)),
    ];
    let watch = Stopwatch::start();
    let child_has_value = loop {
        let child_has_value = matches!(child, Ok(Some(id)) if runtime.has_storage(id));
        let all_noticed = made
            .iter()
            .all(|(ops, made)| made.is_err() || kinds::was_noticed(ops));
        if all_noticed && !child_has_value && is_seen()
            || watch.elapsed_ns() >= LIMIT.as_nanos().unsigned_abs()
        {
            break child_has_value;
        }
        fsleep(INTERVAL);
    };

    let had_value = matches!(child, Ok(Some(_)));
    let mut findings = Findings {
        kinds: [const { Finding::Called }; kinds::NUMBERS],
        copies: Finding::of(child.map(drop), had_value && !child_has_value),
    };
    for (ops, made) in made {
        findings.kinds[ops.kind as usize] = Finding::of(made, kinds::was_noticed(ops));
    }
    // Else the end of the map takes the charge off a socket that was freed without a notice.
    for id in [socket.ok(), child.ok().flatten()].into_iter().flatten() {
        runtime.owner_gone(id);
    }
    Ok(findings)
}

#[inline(never)]
fn store(map: &ByteMap, owner: OwnerRef<'_>) -> Result {
    let rcu = rcu::read_lock();
    // SAFETY: This is a map of bytes.
    unsafe {
        owner_ref::put(
            map.raw(),
            &owner,
            Mode::NoExist,
            &mut Init::Bytes(&[]),
            &rcu,
        )
    }?;
    Ok(())
}

/// Makes a task, calls `store` with it, and ends it. May sleep.
pub(crate) fn end_task(store: impl FnOnce(&Task) -> Result) -> Result {
    // SAFETY: An FFI call with no requirement in task context.
    let task = from_err_ptr(unsafe { shim::ostor_startup_task() })?;
    // SAFETY: A thread that has not run is valid until it is stopped.
    let stored = store(unsafe { &*task.cast_const().cast::<Task>() });
    // SAFETY: The thread was made above, and is not used after this.
    unsafe { bindings::kthread_stop(task) };
    stored
}

fn end_socket(map: &ByteMap) -> Result<OwnerId> {
    let socket = Socket::bare()?;
    store(map, OwnerRef::new(&*socket))?;
    Ok(socket.id())
}

/// Accepts a connection of a listener that has a value. Returns the identity of the accepted socket
/// if that has a value too.
fn end_accepted(map: &ByteMap) -> Result<Option<OwnerId>> {
    // SAFETY: An FFI call in task context, which returns a socket or an `ERR_PTR`.
    let listener = unsafe { Tcp::adopt(shim::ostor_startup_listen()) }?;
    store(map, OwnerRef::new(&*listener.socket()?))?;
    // SAFETY: As above. The listener is valid, by the type invariant.
    let _client = unsafe { Tcp::adopt(shim::ostor_startup_connect(listener.0.as_ptr())) }?;
    // SAFETY: As above.
    let accepted = unsafe { Tcp::adopt(shim::ostor_startup_accept(listener.0.as_ptr())) }?;
    let socket = accepted.socket()?;
    let has_value = map.get_by_id(socket.id(), &rcu::read_lock()).is_some();
    Ok(has_value.then(|| socket.id()))
}

/// A TCP socket of the kernel. The drop resets its connection and frees it.
///
/// # Invariants
///
/// The pointer is a valid `struct socket`, which this object owns.
struct Tcp(NonNull<c_void>);

impl Tcp {
    /// Takes over the socket or the `ERR_PTR` that a function of the shim has returned.
    ///
    /// # Safety
    ///
    /// If it is no `ERR_PTR`, the caller must own the socket, and give it up.
    unsafe fn adopt(socket: *mut c_void) -> Result<Self> {
        // INVARIANT: By the contract.
        Ok(Self(NonNull::new(from_err_ptr(socket)?).ok_or(EOPNOTSUPP)?))
    }

    fn socket(&self) -> Result<ARef<Socket>> {
        // SAFETY: The socket is valid, by the type invariant.
        let socket = unsafe { shim::ostor_startup_socket_sk(self.0.as_ptr()) };
        // SAFETY: The function returned a reference, which is now the result's.
        unsafe { Socket::adopt(socket) }
    }
}

impl Drop for Tcp {
    fn drop(&mut self) {
        // SAFETY: The socket is owned, by the type invariant, and not used after this.
        unsafe { shim::ostor_startup_socket_end(self.0.as_ptr()) };
    }
}

/// Makes a cgroup, calls `store` with it, and removes it. May sleep.
pub(crate) fn end_cgroup(store: impl FnOnce(&Cgroup) -> Result) -> Result {
    let mount = Mount::new()?;
    // SAFETY: The mount is valid, by its type invariant.
    let cgroup = unsafe { shim::ostor_startup_cgroup(mount.0.as_ptr()) };
    // SAFETY: The function returned a reference that is now the result's, or an `ERR_PTR`.
    let cgroup = unsafe { Cgroup::adopt(cgroup) }?;
    let stored = store(&cgroup);
    // SAFETY: As above.
    let removed = unsafe { shim::ostor_startup_cgroup_remove(mount.0.as_ptr()) };
    stored.and(kernel::error::to_result(removed))
}

/// A mount of the file system of cgroups v2. The drop unmounts it, and may sleep.
///
/// # Invariants
///
/// The pointer is a valid `struct vfsmount`, which this object owns.
struct Mount(NonNull<c_void>);

impl Mount {
    fn new() -> Result<Self> {
        // SAFETY: An FFI call with no requirement in task context.
        let mount = from_err_ptr(unsafe { shim::ostor_startup_cgroup_mount() })?;
        // INVARIANT: Mounted above.
        Ok(Self(NonNull::new(mount).ok_or(EOPNOTSUPP)?))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // SAFETY: The mount is owned, by the type invariant.
        unsafe { shim::ostor_startup_cgroup_unmount(self.0.as_ptr()) };
    }
}
