// SPDX-License-Identifier: GPL-2.0

//! Sockets as owners, of every family: full sockets, not requests and not what waits for the time
//! to pass.
//!
//! The notice of death is the entry of `bpf_sk_storage_free()`, which the kernel calls for every
//! socket just before its memory goes, in whatever context dropped the last reference. There is no
//! grace period after it; without ftrace there are no socket owners. A `&Socket` has a reference,
//! and that is the gate: the notice comes after the last one.
//!
//! When another `ftrace_ops` covers that function as well, ftrace can drop a call. The backstop is
//! the allocator: the memory of a socket goes to it in the context that dropped the call. It is
//! attached when the first notice shows that there is such an `ftrace_ops`.
//!
//! The stamp is the socket's cookie, the number that `SO_COOKIE` and `ss -e` show. It is unique
//! until the next boot. A socket that has none yet has no values; the gate sees to it that it gets
//! one.
//!
//! # Accepted connections
//!
//! A TCP socket for a new connection is made as a copy of its listener, by one function, and gets
//! its cookie in the next one. So it inherits in two steps: at the entry of
//! `bpf_sk_storage_clone()`, when it has been copied, it gets values under a provisional identity;
//! at the entry of `tcp_ca_openreq_child()`, when the cookie is final and nobody else has seen the
//! socket yet, they get the identity that they will be found by. Other protocols that copy sockets
//! do not come by the second place, and their children start empty.

use super::{
    hook::{
        FreeHook,
        FtraceHook, //
    },
    kinds,
    object::object, //
};
use crate::{
    shim,
    storage::{
        error::Refusal,
        owner::{
            Owner,
            OwnerId,
            OwnerOps, //
        },
        runtime::Runtime, //
    },
    sync::{
        counter::Counter,
        fault::{
            self,
            Site, //
        },
        rcu::Guard,
        Atomic,
        Relaxed, //
    },
    uapi::OSTOR_KIND_SOCKET, //
};
use core::ptr;
use kernel::{
    bindings,
    prelude::*,
    sync::aref::ARef, //
};

#[cfg(OSTOR_TEST)]
use kernel::error::to_result;

pub(super) static OPS: OwnerOps = OwnerOps {
    kind: OSTOR_KIND_SOCKET,
    number_of: |id, _| id.serial(),
    uncharge: Some(uncharge),
};

/// Bytes that dead sockets were still charged for after we had taken off ours.
static OMEM_LEFT: Counter = Counter::new();

/// Notices of death that came while another `ftrace_ops` covered the function.
static SHARED: Counter = Counter::new();

/// Whether the backstop was asked for.
static REQUESTED: Atomic<bool> = Atomic::new(false);

/// Whether accepted connections inherit.
static CLONES: Atomic<bool> = Atomic::new(false);

object! {
    /// A full socket: `struct sock`.
    Socket: bindings::sock, shim::ostor_sock_hold, shim::ostor_sock_put
}

impl Socket {
    /// The socket of a descriptor. Fails with `EBADF` or `ENOTSOCK` if there is none.
    pub(crate) fn of_fd(fd: i32) -> Result<ARef<Self>> {
        // SAFETY: An FFI call with no requirement in task context.
        let socket = unsafe { shim::ostor_sock_of_fd(fd) };
        // SAFETY: A reference, or an error.
        unsafe { Self::adopt(socket) }
    }

    /// A socket of no family, which ends when the last reference is put. May sleep.
    pub(crate) fn bare() -> Result<ARef<Self>> {
        // SAFETY: An FFI call with no requirement in task context.
        let socket = unsafe { shim::ostor_startup_sock() };
        // SAFETY: A reference, or an error.
        unsafe { Self::adopt(socket) }
    }

    /// Has the socket wait for a grace period when its last reference is put, as those of UDP do.
    #[cfg(OSTOR_TEST)]
    pub(crate) fn free_by_rcu(&self) {
        // SAFETY: Valid by the type invariant, and known to the caller alone.
        unsafe { shim::ostor_sock_free_by_rcu(self.as_ptr()) };
    }

    /// Ends bare sockets, one inside a tracer's callback for another one's end, so that ftrace drops
    /// the ends of all but two. Returns when the backstop is attached. May sleep.
    #[cfg(OSTOR_TEST)]
    pub(crate) fn end_nested(sockets: KVec<ARef<Self>>) -> Result {
        let mut raw = KVec::with_capacity(sockets.len(), GFP_KERNEL)?;
        for socket in sockets {
            let socket = ARef::into_raw(socket).cast::<bindings::sock>();
            raw.push(socket.as_ptr(), GFP_KERNEL)?;
        }
        let count = u32::try_from(raw.len())?;
        // SAFETY: The references are given up, and the list stays until the call returns.
        let result = to_result(unsafe { shim::ostor_nest_socket_ends(raw.as_ptr(), count) });
        FreeHook::wait();
        result
    }
}

/// Bytes of option memory that were missed; see `omem_left` in `struct ostor_stats`.
pub(crate) fn omem_left() -> u64 {
    OMEM_LEFT.get()
}

/// Notices of death that came while another user of ftrace covered the function; see `shared` in
/// `struct ostor_stats`.
pub(crate) fn shared() -> u64 {
    SHARED.get()
}

/// Whether this kernel lets accepted connections inherit.
pub(crate) fn clones() -> bool {
    CLONES.load(Relaxed)
}

/// The cookie of the socket at `socket`, which must be valid; 0 if it has none yet.
#[inline(always)]
fn cookie(socket: *mut bindings::sock) -> u64 {
    // SAFETY: There it is, an `atomic64_t`.
    unsafe {
        socket
            .byte_add(shim::OSTOR_SOCK_COOKIE)
            .cast::<u64>()
            .read_volatile()
    }
}

/// The identity of a socket that has its cookie.
#[inline(always)]
fn id_with(socket: *mut bindings::sock, cookie: u64) -> OwnerId {
    // Its type here is opaque and has no alignment; its first field is a pointer.
    OwnerId::new(socket.cast::<*mut ()>(), &OPS, cookie)
}

/// The identity of a socket that does not have its own cookie yet. No cookie comes this far.
fn provisional_id(socket: *mut bindings::sock) -> OwnerId {
    id_with(socket, OwnerId::SERIAL_MAX)
}

fn charge(socket: *mut bindings::sock, bytes: u32) -> bool {
    // SAFETY: The callers' sockets are alive.
    unsafe { shim::ostor_sock_charge(socket, bytes) }
}

/// # Safety
///
/// As [`OwnerOps::uncharge`].
unsafe fn uncharge(id: OwnerId, bytes: u32) {
    let socket = ptr::with_exposed_provenance_mut(id.addr());
    // SAFETY: The memory stays until the notice of death is over.
    unsafe { shim::ostor_sock_uncharge(socket, bytes) };
}

// SAFETY:
// - The gate is the reference that the `&Socket` stands for.
// - Only a socket that is half made or no full one is refused.
// - `Hooks` exists while the kind is served, and until all maps are gone.
// - `uncharge` is sound to call as it says.
unsafe impl Owner for Socket {
    type Gate<'a> = &'a Socket;

    fn ops(&self) -> &'static OwnerOps {
        &OPS
    }

    #[inline(always)]
    fn id(&self) -> OwnerId {
        let socket = self.as_ptr();
        id_with(socket, cookie(socket))
    }

    fn gate<'a>(&'a self, _rcu: &'a Guard) -> Result<&'a Socket, Refusal> {
        kinds::check_served(&OPS)?;
        let socket = self.as_ptr();
        // SAFETY: Valid by the type invariant.
        if !unsafe { shim::ostor_sock_alive(socket) } {
            return Err(Refusal::OwnerDead);
        }
        // SAFETY: Valid by the type invariant.
        unsafe { shim::ostor_sock_gen_cookie(socket) };
        Ok(self)
    }

    /// Charges the socket's option memory, up to `net.core.optmem_max`.
    fn charge(&self, bytes: u32) -> bool {
        charge(self.as_ptr(), bytes)
    }
}

/// A socket that is being made, known to its maker alone.
struct ChildSock(*mut bindings::sock);

// SAFETY: As for `Socket`; instead of a reference, it has the maker, who does not go on before the
// hook returns.
unsafe impl Owner for ChildSock {
    type Gate<'a> = ();

    fn ops(&self) -> &'static OwnerOps {
        &OPS
    }

    fn id(&self) -> OwnerId {
        provisional_id(self.0)
    }

    fn gate<'a>(&'a self, _rcu: &'a Guard) -> Result<(), Refusal> {
        kinds::check_served(&OPS)
    }

    fn charge(&self, bytes: u32) -> bool {
        charge(self.0, bytes)
    }
}

/// Counts a notice that came by way of ftrace's loop, and has the backstop attached for the first
/// one.
fn note_sharing() {
    // SAFETY: An FFI call in a hook.
    if !unsafe { shim::ostor_in_ftrace_loop() } {
        return;
    }
    SHARED.add(1);
    if !REQUESTED.load(Relaxed) && !REQUESTED.xchg(true, Relaxed) {
        FreeHook::request();
    }
}

/// # Safety
///
/// Called at the entry of `bpf_sk_storage_free()` only, with its argument.
unsafe extern "C" fn on_storage_free(socket: usize, _: usize) {
    note_sharing();
    let Some(runtime) = Runtime::get() else {
        return;
    };
    let socket = ptr::with_exposed_provenance_mut::<bindings::sock>(socket);
    // That of a connection that failed between the two steps.
    let first_id = provisional_id(socket);
    let id = match cookie(socket) {
        0 => first_id,
        cookie => id_with(socket, cookie),
    };
    if kinds::is_mute(&OPS) {
        #[cfg(OSTOR_TEST)]
        // SAFETY: The socket's notice of death.
        unsafe {
            runtime.rename(first_id, id);
            runtime.owner_lost(id)
        };
        return;
    }
    // SAFETY: The socket's notice of death. It had no other identity.
    if unsafe { runtime.owner_died_as(id, first_id) } {
        kinds::noticed(&OPS);
        // SAFETY: The memory stays until we return.
        let left = unsafe { shim::ostor_sock_omem_left(socket) };
        if left != 0 {
            OMEM_LEFT.add(left.into());
        }
    }
}

/// # Safety
///
/// Called at the entry of `bpf_sk_storage_clone()` only, with its arguments.
unsafe extern "C" fn on_storage_clone(parent: usize, child: usize) {
    if fault::skip(Site::CloneHook) {
        return;
    }
    let parent = ptr::with_exposed_provenance_mut::<bindings::sock>(parent);
    let cookie = cookie(parent);
    // SAFETY: The parent is valid for the caller.
    if cookie == 0 || !unsafe { shim::ostor_sock_is_tcp(parent) } {
        return;
    }
    if let Some(runtime) = Runtime::get() {
        let child = ChildSock(ptr::with_exposed_provenance_mut(child));
        runtime.inherit(id_with(parent, cookie), &child);
    }
}

/// # Safety
///
/// Called at the entry of `tcp_ca_openreq_child()` only, with its arguments.
unsafe extern "C" fn on_child_complete(child: usize, _: usize) {
    if fault::skip(Site::ChildHook) {
        return;
    }
    let Some(runtime) = Runtime::get() else {
        return;
    };
    let child = ptr::with_exposed_provenance_mut::<bindings::sock>(child);
    if runtime.has_storage(provisional_id(child)) {
        // SAFETY: The child is valid for the caller.
        let cookie = unsafe { shim::ostor_sock_gen_cookie(child) };
        runtime.rename(provisional_id(child), id_with(child, cookie));
    }
}

/// # Safety
///
/// Called with the address of memory that is freed where a notice may have been dropped.
unsafe extern "C" fn on_free(addr: usize) {
    let id = Runtime::get().and_then(|runtime| runtime.owner_at(addr, &OPS));
    if let Some(id) = id {
        // SAFETY: The socket's second notice of death: what is freed is the socket, since an
        // element is charged to a socket that is there as long as its storage is not ended.
        unsafe { kinds::backstop_notice(id) };
    }
}

/// What tells of dying sockets and of new connections, attached until it is dropped. Both may
/// sleep.
pub(super) struct Hooks {
    // Dropped in this order: no child is made when nobody is told of its end any more.
    clone: [Option<FtraceHook>; 2],
    notice: Option<FtraceHook>,
    backstop: Option<FreeHook>,
}

impl kinds::Hooks for Hooks {
    const NOTICE: &'static str = "bpf_sk_storage_free()";

    fn attach() -> Result<Self> {
        // SAFETY: The hook of freed memory.
        let backstop = unsafe { FreeHook::prepare(on_free) };
        // SAFETY: The hook of this function.
        let notice = unsafe { FtraceHook::attach(c"bpf_sk_storage_free", on_storage_free) }?;
        let clone = kinds::optional("copies for accepted sockets", Self::attach_clone());
        CLONES.store(clone.is_some(), Relaxed);
        Ok(Self {
            clone: clone.map_or([const { None }; 2], |hooks| hooks.map(Some)),
            notice: Some(notice),
            backstop: Some(backstop),
        })
    }

    fn detach(&mut self) {
        self.detach_clone();
        FtraceHook::detach_or_pin(&mut self.notice);
        // A notice that stays may still ask for the backstop.
        if self.notice.is_none() {
            self.backstop = None;
        }
    }
}

impl Hooks {
    /// Lets accepted connections start empty from now on.
    pub(super) fn detach_clone(&mut self) {
        CLONES.store(false, Relaxed);
        self.clone.iter_mut().for_each(FtraceHook::detach_or_pin);
    }

    fn attach_clone() -> Result<[FtraceHook; 2]> {
        // The second step first: whoever takes the first one takes both.
        //
        // SAFETY: The hook of this function.
        let complete = unsafe { FtraceHook::attach(c"tcp_ca_openreq_child", on_child_complete) }?;
        // SAFETY: The hook of this function.
        let clone = unsafe { FtraceHook::attach(c"bpf_sk_storage_clone", on_storage_clone) }?;
        Ok([clone, complete])
    }
}
