// SPDX-License-Identifier: GPL-2.0

//! A value for each socket or task that a process makes, or one that a task creates and deletes
//! again and again: what `scripts/creation-speed` measures beside BPF's, in a flavour of the module
//! that has this and else is the plain one.
//!
//! The hooks are where the programs of the kernel's benchmark are attached there: at the entry of
//! `sock_alloc_file()`, when a socket is complete, and at the tracepoint `sched_process_fork`.

use super::{
    hook::{
        FtraceHook,
        TracepointProbe, //
    },
    socket::Socket,
    task, //
};
use crate::{
    storage::{
        create::Mode,
        map::ByteMap,
        owner::Owner, //
    },
    sync::{
        counter::Counter,
        rcu,
        Atomic,
        Relaxed, //
    }, //
};
use core::ptr;
use kernel::{
    bindings,
    debugfs::Scope,
    ffi::c_void,
    fmt,
    new_mutex,
    prelude::*,
    sync::Mutex,
    task::Task,
    uaccess::UserSliceReader, //
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
/// `parent` must be valid. Called by a hook of a [`Session`] only.
#[inline(always)]
unsafe fn create(parent: *const bindings::task_struct, owner: &impl Owner) {
    // SAFETY: Valid by the contract; a task's thread group does not change.
    if unsafe { (*parent).tgid } != PROCESS.load(Relaxed) {
        return;
    }
    // SAFETY: Null, or the map of the session, which outlives its hook.
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
/// Called at the entry of `sock_alloc_file()` only, with its first argument.
unsafe extern "C" fn on_socket(socket: usize, _: usize) {
    let socket = ptr::with_exposed_provenance::<bindings::socket>(socket);
    // SAFETY: The socket is valid for the caller.
    let sk = unsafe { (*socket).sk }.cast::<Socket>();
    // SAFETY: Null, or the socket's reference, which it has until it is released.
    if let Some(sk) = unsafe { sk.as_ref() } {
        // SAFETY: This is that hook, and the current task is valid.
        unsafe { create(Task::current_raw(), sk) };
    }
}

/// # Safety
///
/// Called by the tracepoint `sched_process_fork` only.
unsafe extern "C" fn on_fork(
    _data: *mut c_void,
    parent: *mut bindings::task_struct,
    child: *mut bindings::task_struct,
) {
    // SAFETY: The caller has a reference to the child.
    let child = unsafe { &*child.cast::<Task>() };
    // SAFETY: This is that hook, and the parent is the current task.
    unsafe { create(parent, child) };
}

/// What a process is measured with, until it is dropped, which may sleep.
pub(crate) struct Session {
    // Dropped in this order: the hook uses the map.
    _hook: Hook,
    map: Option<KBox<ByteMap>>,
    /// Another map, in which the calling task has a value.
    _other: Option<ByteMap>,
}

enum Hook {
    None,
    Socket(#[expect(dead_code, reason = "held for its drop")] FtraceHook),
    Task(#[expect(dead_code, reason = "held for its drop")] TracepointProbe),
}

impl Hook {
    fn of_sockets() -> Result<Self> {
        // SAFETY: The hook of this function.
        unsafe { FtraceHook::attach(c"sock_alloc_file", on_socket) }.map(Self::Socket)
    }

    fn of_nothing() -> Result<Self> {
        Ok(Self::None)
    }

    fn of_tasks() -> Result<Self> {
        let probe = on_fork as *mut c_void;
        // SAFETY: The probe of this tracepoint.
        unsafe { TracepointProbe::attach(c"sched_process_fork", probe) }.map(Self::Task)
    }
}

impl Session {
    /// Begins with what the calling process makes. May sleep.
    fn new(attach: fn() -> Result<Hook>, map: Option<ByteMap>) -> Result<Self> {
        let mut map = map.map(|map| KBox::new(map, GFP_KERNEL)).transpose()?;
        let shared = map.as_deref_mut().map_or(ptr::null_mut(), ptr::from_mut);
        MAP.store(shared, Relaxed);
        // SAFETY: The current task is valid.
        PROCESS.store(unsafe { (*Task::current_raw()).tgid }, Relaxed);
        Ok(Self {
            _hook: attach()?,
            map,
            _other: None,
        })
    }

    /// Gives the calling task a value in another map. May sleep.
    fn with_other(self) -> Result<Self> {
        let other = ByteMap::new(VALUE)?;
        other.put(&*task::current(), Mode::NoExist, &[], &rcu::read_lock())?;
        Ok(Self {
            _other: Some(other),
            ..self
        })
    }

    /// Creates and deletes the value of the calling task, if there is a map.
    fn again(&self) {
        let task = task::current();
        let rcu = rcu::read_lock();
        for _ in 0..SELF_AGAIN {
            count(self.map.as_ref().is_none_or(|map| {
                let created = map.put(&*task, Mode::Get, &[], &rcu).is_ok();
                created && map.raw().delete(task.id(), &rcu).is_ok()
            }));
        }
    }
}

/// The file `owner_storage/creation` of debugfs, until it is dropped.
///
/// A process writes `socket` or `task` to it for values, or `socket-hook` or `task-hook` for a hook
/// that only counts: once, there is one session in a life of the module. Or a task writes
/// `self-first` or `self-later` for a value of its own, which is its first one or not, or
/// `self-none` for none; and then, any number of times, `self-again`. Read, the file has the numbers
/// of creations that succeeded and failed.
pub(crate) type File = Scope<Mutex<Option<Session>>>;

/// Makes the file.
pub(crate) fn file() -> impl PinInit<File> {
    Scope::dir(new_mutex!(None), c"owner_storage", |session, dir| {
        dir.read_write_callback_file(c"creation", session, &report, &begin);
    })
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
    *session = Some(match &*word {
        b"socket" => Session::new(Hook::of_sockets, Some(ByteMap::new(VALUE)?))?,
        b"task" => Session::new(Hook::of_tasks, Some(ByteMap::new(VALUE)?))?,
        b"socket-hook" => Session::new(Hook::of_sockets, None)?,
        b"task-hook" => Session::new(Hook::of_tasks, None)?,
        b"self-first" => Session::new(Hook::of_nothing, Some(ByteMap::new(VALUE)?))?,
        b"self-later" => {
            Session::new(Hook::of_nothing, Some(ByteMap::new(VALUE)?))?.with_other()?
        }
        b"self-none" => Session::new(Hook::of_nothing, None)?,
        _ => return Err(EINVAL),
    });
    Ok(())
}
