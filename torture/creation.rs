// SPDX-License-Identifier: GPL-2.0

//! A value for each socket or task that a process makes, or one that a task creates and deletes
//! again and again: what `scripts/creation-speed` measures beside BPF storage.
//!
//! The hooks are where the programs of the kernel's benchmark are attached there: at the entry of
//! `sock_alloc_file()`, when a socket is complete, and at the tracepoint `sched_process_fork`.

use crate::{
    shim,
    sync::{
        self,
        counter::Counter,
        Atomic,
        Relaxed, //
    }, //
};
use core::ptr;
use kernel::{
    bindings,
    debugfs::Scope,
    error::to_result,
    ffi::c_void,
    fmt,
    new_mutex,
    prelude::*,
    sync::{
        rcu,
        Mutex, //
    },
    task::Task,
    uaccess::UserSliceReader, //
};
use owner_storage::api::{
    ByteMap,
    Mode,
    Owner,
    Socket, //
};

/// The size of a value, as in the kernel's benchmark.
const VALUE: usize = 64;

/// How often the calling task creates and deletes its value in one go, as often as BPF's program.
const SELF_AGAIN: usize = 256;

/// The process whose sockets or tasks get a value; 0 is none.
static PROCESS: Atomic<i32> = Atomic::new(0);

/// The map that they get it in; null if the hooks do nothing else than count.
static MAP: Atomic<*mut ByteMap> = Atomic::new(ptr::null_mut());

static CREATED: Counter = Counter::new();
static FAILED: Counter = Counter::new();

/// Creates the value of `owner`, which the process of `parent` has made, if that is the one.
///
/// # Safety
///
/// `parent` must be valid. May only be called by a hook of a [`Session`].
#[inline(always)]
unsafe fn create(parent: *const bindings::task_struct, owner: &impl Owner) {
    // SAFETY: The task is valid, by the contract. Its thread group does not change.
    if unsafe { (*parent).tgid } != PROCESS.load(Relaxed) {
        return;
    }
    // SAFETY: The pointer is null, or the map of the session, which outlives its hook.
    let map = unsafe { MAP.load(Relaxed).as_ref() };
    count(map.is_none_or(|map| {
        let rcu = rcu::read_lock();
        map.put(owner, Mode::Get, &[], &rcu).is_ok()
    }));
}

fn count(is_ok: bool) {
    if is_ok {
        CREATED.add(1);
    } else {
        FAILED.add(1);
    }
}

/// # Safety
///
/// May only be called as the hook of `sock_alloc_file()`, with its first argument.
unsafe extern "C" fn on_socket(socket: *mut bindings::socket) {
    // SAFETY: The socket is valid: it is an argument of the hooked function.
    let sk = unsafe { (*socket).sk };
    if !sk.is_null() {
        // SAFETY: The socket has a reference until it is released, after this function.
        let sk = unsafe { Socket::from_raw(sk) };
        // SAFETY: This is the hook, and the calling thread is a valid task.
        unsafe { create(Task::current_raw(), sk) };
    }
}

/// # Safety
///
/// May only be called as the probe of the tracepoint `sched_process_fork`.
unsafe extern "C" fn on_fork(
    _data: *mut c_void,
    parent: *mut bindings::task_struct,
    child: *mut bindings::task_struct,
) {
    // SAFETY: The caller of the tracepoint has a reference to the child.
    let child = unsafe { &*child.cast::<Task>() };
    // SAFETY: This is the hook, and the parent is the calling thread.
    unsafe { create(parent, child) };
}

/// What a process is measured with, until it is dropped. The drop may sleep.
pub(crate) struct Session {
    // Dropped in this order: the hook uses the map.
    _hook: Hook,
    map: Option<KBox<ByteMap>>,
    /// Another map, in which the calling task has a value.
    _other: Option<ByteMap>,
}

/// What a session hooks.
#[derive(Copy, Clone)]
enum Kind {
    Nothing,
    Sockets,
    Tasks,
}

/// The hook of a session, attached until it is dropped. The drop waits for running hooks.
///
/// # Invariants
///
/// The hook of this kind is attached.
struct Hook(Kind);

impl Hook {
    /// Attaches the hook. There must be no other one.
    fn attach(kind: Kind) -> Result<Self> {
        to_result(match kind {
            Kind::Nothing => 0,
            // SAFETY: `on_socket` is the hook of this function, and may be called anywhere.
            Kind::Sockets => unsafe { shim::ostor_socket_hook_attach(Some(on_socket)) },
            // SAFETY: `on_fork` is the probe of this tracepoint, and may be called anywhere.
            Kind::Tasks => unsafe { shim::ostor_fork_hook_attach(Some(on_fork)) },
        })?;
        // INVARIANT: Attached above.
        Ok(Self(kind))
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        match self.0 {
            Kind::Nothing => {}
            // SAFETY: By the type invariant the hook is attached.
            Kind::Sockets => unsafe { shim::ostor_socket_hook_detach() },
            // SAFETY: By the type invariant the probe is attached.
            Kind::Tasks => unsafe { shim::ostor_fork_hook_detach(Some(on_fork)) },
        }
    }
}

impl Session {
    /// Begins with what the calling process makes from now on. May sleep.
    fn new(kind: Kind, has_map: bool, has_other: bool) -> Result<Self> {
        let new_map = || ByteMap::new(sync::this_module(), VALUE);
        let mut map = match has_map {
            true => Some(KBox::new(new_map()?, GFP_KERNEL)?),
            false => None,
        };
        let other = match has_other {
            true => Some(new_map()?),
            false => None,
        };
        if let Some(other) = &other {
            let task: &Task = current!();
            other.put(task, Mode::NoExist, &[], &rcu::read_lock())?;
        }
        let shared = map.as_deref_mut().map_or(ptr::null_mut(), ptr::from_mut);
        MAP.store(shared, Relaxed);
        // SAFETY: The calling thread is a valid task.
        PROCESS.store(unsafe { (*Task::current_raw()).tgid }, Relaxed);
        Ok(Self {
            _hook: Hook::attach(kind)?,
            map,
            _other: other,
        })
    }

    /// Creates and deletes the value of the calling task, if there is a map.
    fn again(&self) {
        let task: &Task = current!();
        let rcu = rcu::read_lock();
        for _ in 0..SELF_AGAIN {
            count(self.map.as_ref().is_none_or(|map| {
                let created = map.put(task, Mode::Get, &[], &rcu).is_ok();
                created && map.delete(task, &rcu).is_ok()
            }));
        }
    }
}

/// The file `owner_storage_torture/creation` of debugfs, until it is dropped.
///
/// A process writes `socket` or `task` to it for values, or `socket-hook` or `task-hook` for a hook
/// that only counts: once, since there is one session in a life of the module. Or a task writes
/// `self-first` or `self-later` for a value of its own, which is its first one or not, or
/// `self-none` for none. Then it writes `self-again`, any number of times. A read returns the
/// numbers of creations that have succeeded and failed.
pub(crate) type File = Scope<Mutex<Option<Session>>>;

/// Makes the file.
pub(crate) fn file() -> impl PinInit<File> {
    Scope::dir(
        new_mutex!(None),
        c"owner_storage_torture",
        |session, dir| {
            dir.read_write_callback_file(c"creation", session, &report, &begin);
        },
    )
}

fn report(_: &Mutex<Option<Session>>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(f, "{} {}", CREATED.get(), FAILED.get())
}

fn begin(session: &Mutex<Option<Session>>, reader: &mut UserSliceReader) -> Result {
    let mut word = [0; 16];
    let word = word.get_mut(..reader.len()).ok_or(EINVAL)?;
    reader.read_slice(word)?;
    let mut session = session.lock();
    if let Some(session) = &*session {
        if word != b"self-again" {
            return Err(EBUSY);
        }
        session.again();
        return Ok(());
    }
    let (kind, has_map, has_other) = match &*word {
        b"socket" => (Kind::Sockets, true, false),
        b"task" => (Kind::Tasks, true, false),
        b"socket-hook" => (Kind::Sockets, false, false),
        b"task-hook" => (Kind::Tasks, false, false),
        b"self-first" => (Kind::Nothing, true, false),
        b"self-later" => (Kind::Nothing, true, true),
        b"self-none" => (Kind::Nothing, false, false),
        _ => return Err(EINVAL),
    };
    *session = Some(Session::new(kind, has_map, has_other)?);
    Ok(())
}
