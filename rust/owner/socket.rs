// SPDX-License-Identifier: GPL-2.0

//! Full sockets (`sk_fullsock()`) of every family as owners. The gate refuses request and timewait
//! sockets.
//!
//! The notice of death is the entry of `bpf_sk_storage_free()`, which the kernel calls for each
//! socket just before it frees the memory, in the context of the last put. No grace period follows.
//! Without ftrace, sockets are not served. The gate is the reference that a `&Socket` holds: the
//! notice comes after the last put.
//!
//! If another `ftrace_ops` covers that function too, ftrace can drop a call. The backstop is a hook
//! of the allocator, which frees the socket's memory in the context that dropped the call. It is
//! attached when the first notice shows that there is such an `ftrace_ops`.
//!
//! The stamp is the socket's cookie, the number that `SO_COOKIE` and `ss -e` show. It is unique
//! until the next boot. A socket without a cookie has no values; the gate generates one.
//!
//! # Accepted connections
//!
//! A function of TCP copies the listener to make the socket of a new connection, and a later one
//! generates the cookie. So the socket inherits in two steps. At the entry of
//! `bpf_sk_storage_clone()` it has been copied, and gets values under a provisional identity. At
//! the entry of `tcp_ca_openreq_child()` its cookie is final, and no other thread has seen the
//! socket yet: the values get their final identity. Other protocols that copy sockets do not call
//! the second function, and their children start without values.

use super::{
    hook::{
        FreeHook,
        FtraceHook, //
    },
    kinds,
    object::object,
    owner_ref::{
        Kind,
        Methods, //
    }, //
};
use crate::{
    shim,
    storage::{
        error::Refusal,
        owner::{
            Owner,
            OwnerId,
            OwnerOps,
            Visits, //
        },
        runtime::Runtime, //
    },
    sync::{
        compat::EOPNOTSUPP,
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
use core::{
    cell::Cell,
    ffi::CStr,
    ptr, //
};
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
    visits: Visits::Charge(uncharge),
};

static METHODS: Methods = Methods::of::<Socket>(&OPS);

// SAFETY: The identity has the address of the object, which is that of the reference to it.
unsafe impl Kind for Socket {
    const METHODS: &'static Methods = &METHODS;

    fn gate_for(&self, id: &Cell<OwnerId>, rcu: &Guard) -> Result<(), Refusal> {
        // Not whether the socket has a cookie now: another CPU can have given it one since `id` was
        // taken.
        if id.get().serial() != 0 {
            return self.check_alive();
        }
        self.gate(rcu)?;
        id.set(self.id());
        Ok(())
    }
}

/// Bytes that were still charged to dead sockets after the module had taken off its own.
static OMEM_LEFT: Counter = Counter::new();

/// Notices of death that came while another `ftrace_ops` covered the function.
static SHARED: Counter = Counter::new();

/// Whether the backstop was requested.
static REQUESTED: Atomic<bool> = Atomic::new(false);

/// Whether accepted sockets inherit.
static CLONES: Atomic<bool> = Atomic::new(false);

object! {
    /// A full socket: `struct sock`.
    Socket: bindings::sock, shim::ostor_sock_hold, shim::ostor_sock_put
}

impl Socket {
    /// The socket of descriptor `fd`. Fails with `EBADF` if there is no such descriptor, and with
    /// `ENOTSOCK` if it is no socket.
    pub(crate) fn of_fd(fd: i32) -> Result<ARef<Self>> {
        // SAFETY: An FFI call with no requirement in task context.
        let socket = unsafe { shim::ostor_sock_of_fd(fd) };
        // SAFETY: The function returned a reference that is now the result's, or an `ERR_PTR`.
        unsafe { Self::adopt(socket) }
    }

    /// All that the gate does for a socket that has a cookie.
    fn check_alive(&self) -> Result<(), Refusal> {
        kinds::check_served(&OPS)?;
        // SAFETY: The socket is valid, by the type invariant.
        if !unsafe { shim::ostor_sock_alive(self.as_ptr()) } {
            return Err(Refusal::OwnerDead);
        }
        Ok(())
    }

    /// A socket of no family, which the last put frees. May sleep.
    pub(crate) fn bare() -> Result<ARef<Self>> {
        // SAFETY: An FFI call with no requirement in task context.
        let socket = unsafe { shim::ostor_startup_sock() };
        // SAFETY: The function returned a reference that is now the result's, or an `ERR_PTR`.
        unsafe { Self::adopt(socket) }
    }

    /// Has the last put free the socket a grace period later, as UDP does. No other thread may know
    /// the socket.
    #[cfg(OSTOR_TEST)]
    pub(crate) fn free_by_rcu(&self) {
        // SAFETY: The socket is valid, by the type invariant. No other thread knows it, by the
        // contract.
        unsafe { shim::ostor_sock_free_by_rcu(self.as_ptr()) };
    }

    /// Puts bare sockets in the callback of an `ftrace_ops` for the end of another one, so that
    /// ftrace drops the notices of all but two. Returns when the backstop is attached. May sleep.
    #[cfg(OSTOR_TEST)]
    pub(crate) fn end_nested(sockets: KVec<ARef<Self>>) -> Result {
        let mut raw = KVec::with_capacity(sockets.len(), GFP_KERNEL)?;
        for socket in sockets {
            let socket = ARef::into_raw(socket).cast::<bindings::sock>();
            raw.push(socket.as_ptr(), GFP_KERNEL)?;
        }
        let count = u32::try_from(raw.len())?;
        // SAFETY: The references are given up, and the list is valid until the call returns.
        let result = to_result(unsafe { shim::ostor_nest_socket_ends(raw.as_ptr(), count) });
        FreeHook::wait();
        result
    }
}

/// See `omem_left` in `struct ostor_stats`.
pub(crate) fn omem_left() -> u64 {
    OMEM_LEFT.get()
}

/// See `shared` in `struct ostor_stats`.
pub(crate) fn shared() -> u64 {
    SHARED.get()
}

/// Whether accepted sockets inherit on this kernel.
pub(super) fn clones() -> bool {
    CLONES.load(Relaxed)
}

/// Fails with `EOPNOTSUPP` if accepted sockets inherit nothing on this kernel.
#[inline(never)]
pub(crate) fn check_clones() -> Result {
    if clones() {
        Ok(())
    } else {
        Err(EOPNOTSUPP)
    }
}

/// Runs `body` as on a kernel where accepted sockets inherit nothing.
#[cfg(OSTOR_TEST)]
pub(crate) fn without_clones<R>(body: impl FnOnce() -> R) -> R {
    let before = CLONES.xchg(false, Relaxed);
    let result = body();
    CLONES.store(before, Relaxed);
    result
}

/// The cookie of the socket at `socket`, which must be valid; 0 if it has none yet.
#[inline(always)]
fn cookie(socket: *mut bindings::sock) -> u64 {
    // SAFETY: The field at this offset is an `atomic64_t`, and the socket is valid.
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
    // The bindings have an opaque type without alignment. The first field of a `struct sock` is a
    // pointer.
    OwnerId::new(socket.cast::<*mut ()>(), OSTOR_KIND_SOCKET, cookie)
}

/// The identity of a socket that does not have its own cookie yet. No cookie is as large as this
/// stamp.
fn provisional_id(socket: *mut bindings::sock) -> OwnerId {
    id_with(socket, OwnerId::SERIAL_MAX)
}

fn charge(socket: *mut bindings::sock, bytes: u32) -> bool {
    // SAFETY: The callers pass a live socket.
    unsafe { shim::ostor_sock_charge(socket, bytes) }
}

/// # Safety
///
/// As [`Visits::Charge`].
unsafe fn uncharge(id: OwnerId, bytes: u32) {
    let socket = ptr::with_exposed_provenance_mut(id.addr());
    // SAFETY: The notice of death is not over, by the contract, and the memory stays until then.
    unsafe { shim::ostor_sock_uncharge(socket, bytes) };
}

// SAFETY:
// - The gate is the reference that a `&Socket` holds. The notice comes after the last put.
// - The gate never refuses a socket because it is dying. It refuses unfinished sockets, and request
//   and timewait sockets.
// - The kind is served only while `Hooks` exists, which is dropped after all maps.
// - `uncharge` uses the socket, whose memory stays until the notice is over.
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
        self.check_alive()?;
        let socket = self.as_ptr();
        if cookie(socket) == 0 {
            // SAFETY: The socket is valid, by the type invariant.
            unsafe { shim::ostor_sock_gen_cookie(socket) };
        }
        Ok(self)
    }

    /// Charges the socket's option memory, up to `net.core.optmem_max` bytes.
    fn charge(&self, bytes: u32) -> bool {
        charge(self.as_ptr(), bytes)
    }
}

/// The socket of a new connection, which only the function that makes it knows.
///
/// # Invariants
///
/// The pointer is valid, since that function has called the hook, and has not gone on yet.
struct ChildSock(*mut bindings::sock);

// SAFETY: As for `Socket`. In place of a reference, the gate is the call of the hook: by the type
// invariant, the socket does not end before the hook returns.
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

/// Counts a notice that ftrace's loop has called, and requests the backstop at the first one.
fn note_sharing() {
    // SAFETY: An FFI call. The caller is a hook.
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
/// May only be called as the hook of `bpf_sk_storage_free()`.
unsafe extern "C" fn on_storage_free(socket: usize, _: usize) {
    note_sharing();
    let Some(runtime) = Runtime::get() else {
        return;
    };
    let socket = ptr::with_exposed_provenance_mut::<bindings::sock>(socket);
    // The identity of the values of a connection that failed between the two steps.
    let first_id = provisional_id(socket);
    let id = match cookie(socket) {
        0 => first_id,
        cookie => id_with(socket, cookie),
    };
    if kinds::is_mute(&OPS) {
        #[cfg(OSTOR_TEST)]
        // SAFETY: This is the socket's notice of death.
        unsafe {
            runtime.rename(first_id, id);
            runtime.owner_lost(id)
        };
        return;
    }
    // SAFETY: This is the socket's notice of death. The socket had no other identity than these
    // two.
    if unsafe { runtime.owner_died_as(id, first_id) } {
        kinds::noticed(&OPS);
        // SAFETY: The kernel frees the socket after this hook has returned.
        let left = unsafe { shim::ostor_sock_omem_left(socket) };
        if left != 0 {
            OMEM_LEFT.add(left.into());
        }
    }
}

/// # Safety
///
/// May only be called as the hook of `bpf_sk_storage_clone()`.
unsafe extern "C" fn on_storage_clone(parent: usize, child: usize) {
    if fault::skip(Site::CloneHook) {
        return;
    }
    let parent = ptr::with_exposed_provenance_mut::<bindings::sock>(parent);
    let cookie = cookie(parent);
    // SAFETY: The parent is valid: it is an argument of the hooked function.
    if cookie == 0 || !unsafe { shim::ostor_sock_is_tcp(parent) } {
        return;
    }
    if let Some(runtime) = Runtime::get() {
        // INVARIANT: The child is an argument of the hooked function.
        let child = ChildSock(ptr::with_exposed_provenance_mut(child));
        runtime.inherit(id_with(parent, cookie), &child);
    }
}

/// # Safety
///
/// May only be called as the hook of `tcp_ca_openreq_child()`.
unsafe extern "C" fn on_child_complete(child: usize, _: usize) {
    if fault::skip(Site::ChildHook) {
        return;
    }
    let Some(runtime) = Runtime::get() else {
        return;
    };
    let child = ptr::with_exposed_provenance_mut::<bindings::sock>(child);
    if runtime.has_storage(provisional_id(child)) {
        // SAFETY: The child is valid: it is an argument of the hooked function.
        let cookie = unsafe { shim::ostor_sock_gen_cookie(child) };
        runtime.rename(provisional_id(child), id_with(child, cookie));
    }
}

/// # Safety
///
/// `addr` must be that of memory that the kernel frees after the call.
unsafe extern "C" fn on_free(addr: usize) {
    let id = Runtime::get().and_then(|runtime| runtime.owner_at(addr, &OPS));
    if let Some(id) = id {
        // SAFETY: This is the socket's second notice of death. The memory is the socket's: it has a
        // storage under this address, and a socket that has one is not freed before its notice of
        // death.
        unsafe { kinds::backstop_notice(id) };
    }
}

/// The hooks of a socket's death and of new connections, attached until it is dropped. Attach and
/// drop may sleep.
pub(super) struct Hooks {
    // Dropped in this order: no child inherits once its notice of death is not hooked.
    clone: [Option<FtraceHook>; 2],
    notice: Option<FtraceHook>,
    backstop: Option<FreeHook>,
}

/// Attaches the hooks.
pub(super) fn attach() -> Result<Hooks> {
    // SAFETY: `on_free` may be called wherever memory is freed.
    let backstop = unsafe { FreeHook::prepare(on_free) };
    // SAFETY: `on_storage_free` is the hook of this function, and may be called anywhere.
    let notice = unsafe { FtraceHook::attach(c"bpf_sk_storage_free", on_storage_free) }?;
    let clone = kinds::optional("copies for accepted sockets", attach_clone());
    CLONES.store(clone.is_some(), Relaxed);
    Ok(Hooks {
        clone: clone.map_or([const { None }; 2], |hooks| hooks.map(Some)),
        notice: Some(notice),
        backstop: Some(backstop),
    })
}

fn attach_clone() -> Result<[FtraceHook; 2]> {
    // The second step is hooked first, so that a socket which takes the first step takes both.
    //
    // SAFETY: `on_child_complete` is the hook of this function, and may be called anywhere.
    let complete = unsafe { FtraceHook::attach(c"tcp_ca_openreq_child", on_child_complete) }?;
    // SAFETY: `on_storage_clone` is the hook of this function, and may be called anywhere.
    let clone = unsafe { FtraceHook::attach(c"bpf_sk_storage_clone", on_storage_clone) }?;
    Ok([clone, complete])
}

impl kinds::Hooks for Hooks {
    fn notice(&self) -> &'static CStr {
        c"bpf_sk_storage_free"
    }

    fn detach(&mut self) {
        self.detach_clone();
        FtraceHook::detach_or_pin(&mut self.notice);
        // A hook that stays attached may still request the backstop.
        if self.notice.is_none() {
            self.backstop = None;
        }
    }
}

impl Hooks {
    /// Lets accepted sockets start without values from now on.
    pub(super) fn detach_clone(&mut self) {
        CLONES.store(false, Relaxed);
        self.clone.iter_mut().for_each(FtraceHook::detach_or_pin);
    }
}
