// SPDX-License-Identifier: GPL-2.0

//! Notes the credentials of each task, and tells which task has others without `commit_creds()`.
//!
//! Each task has an entry from its fork to its end, and those that exist when the module is loaded
//! have one then. The fork writes it, and `commit_creds()`, which every change of a task's
//! objective credentials passes: before and after the change. A read of
//! `/sys/kernel/debug/task_guard/tasks` checks all tasks, and prints for each one its id, its
//! effective user id, and what was found:
//!
//! - `ok`: the ids are those that were noted last;
//! - `changed`: they are not, so other code has written them;
//! - `new`: there was no entry, and there is one now. The fork has not come to the hook yet, or
//!   there was no memory for the entry; the last line counts those.
//!
//! This finds ids and effective capabilities that were overwritten, and a pointer to credentials
//! that was exchanged. It does not find code that calls `commit_creds()` where it should not, nor
//! code that writes the entries as well, and only a read checks.

use core::ptr;
use kernel::{
    bindings,
    debugfs::{
        Dir,
        File, //
    },
    error::to_result,
    ffi::c_void,
    fmt,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        rcu,
        Arc, //
    },
    task::Task, //
};
use owner_storage::api::{
    Map,
    Mode,
    Refusal, //
};

module! {
    type: TaskGuard,
    name: "task_guard",
    authors: ["The owner_storage developers"],
    description: "Notes and checks the credentials of all tasks",
    license: "GPL",
    imports_ns: ["OWNER_STORAGE"],
}

#[expect(improper_ctypes, reason = "C does not look behind these pointers")]
extern "C" {
    fn guard_attach(guard: *const Guard) -> c_int;
    fn guard_detach();
    fn guard_ids_of(task: *mut bindings::task_struct, ids: *mut Ids);
    fn guard_visit_tasks(
        visit: unsafe extern "C" fn(*mut c_void, *mut bindings::task_struct),
        data: *mut c_void,
    );
}

/// `struct guard_ids` of hooks.h.
#[repr(C)]
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Ids {
    id: [u32; 8],
    effective: u64,
}

impl Ids {
    /// Those that the task has now.
    fn of(task: &Task) -> Self {
        let mut ids = Self::default();
        // SAFETY: The task is valid, and `ids` can be written.
        unsafe { guard_ids_of(task.as_ptr(), &mut ids) };
        ids
    }

    fn effective_uid(&self) -> u32 {
        self.id[1]
    }
}

/// What a task may have. `next` is what `commit_creds()` is about to give it.
struct Noted {
    now: Ids,
    next: Option<Ids>,
}

impl Noted {
    fn allows(&self, ids: Ids) -> bool {
        self.now == ids || self.next == Some(ids)
    }
}

enum Finding {
    Ok,
    Changed,
    New,
}

struct Guard {
    tasks: Map<Noted>,
    /// Entries that could not be written.
    missed: Atomic<u64>,
}

impl Guard {
    /// Notes the ids. If that fails, the task has no entry: an old one would be wrong.
    fn note(&self, task: &Task, mode: Mode, noted: Noted, rcu: &rcu::Guard) {
        match self.tasks.update(task, mode, noted, rcu) {
            Ok(_) | Err(Refusal::Exists) => {}
            Err(_) => {
                let _ = self.tasks.delete(task, rcu);
                self.missed.add(1, Relaxed);
            }
        }
    }

    /// Notes a task that has no entry.
    fn note_new(&self, task: &Task, rcu: &rcu::Guard) {
        let noted = Noted {
            now: Ids::of(task),
            next: None,
        };
        // If there is an entry, `commit_creds()` has written it since.
        self.note(task, Mode::NoExist, noted, rcu);
    }

    /// Compares the task's ids with the entry.
    fn check(&self, task: &Task, ids: Ids, rcu: &rcu::Guard) -> Finding {
        match self.tasks.get(task, rcu) {
            None => Finding::New,
            Some(noted) if noted.allows(ids) => Finding::Ok,
            Some(_) => Finding::Changed,
        }
    }

    /// As [`Guard::check`], with the ids, of any task. The ids are read while the entry does not
    /// change: one from before a change of the task's would not allow those from after it.
    fn look(&self, task: &Task, rcu: &rcu::Guard) -> (Ids, Finding) {
        loop {
            let before = self.tasks.get(task, rcu).map(ptr::from_ref);
            let ids = Ids::of(task);
            let finding = self.check(task, ids, rcu);
            if before == self.tasks.get(task, rcu).map(ptr::from_ref) {
                return (ids, finding);
            }
        }
    }
}

/// Calls `f` with all threads.
fn for_each_task<F: FnMut(&Task)>(mut f: F) {
    /// # Safety
    ///
    /// `f` must be an `F` that is not used meanwhile, and the task valid.
    unsafe extern "C" fn visit<F: FnMut(&Task)>(f: *mut c_void, task: *mut bindings::task_struct) {
        // SAFETY: By the contract. The type is transparent.
        unsafe { (*f.cast::<F>())(&*task.cast::<Task>()) };
    }
    // SAFETY: The function passes `f` on, with a task that is valid in its RCU read section.
    unsafe { guard_visit_tasks(visit::<F>, (&raw mut f).cast()) };
}

/// Checks all tasks.
fn show(guard: &Arc<Guard>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let rcu = rcu::read_lock();
    let (mut ok, mut changed, mut new) = (0, 0, 0);
    let mut result = Ok(());
    for_each_task(|task| {
        let (ids, finding) = guard.look(task, &rcu);
        let (count, word) = match finding {
            Finding::Ok => (&mut ok, "ok"),
            Finding::Changed => (&mut changed, "changed"),
            Finding::New => {
                guard.note_new(task, &rcu);
                (&mut new, "new")
            }
        };
        *count += 1;
        result = result.and_then(|()| writeln!(f, "{} {} {word}", task.pid(), ids.effective_uid()));
    });
    let missed = guard.missed.load(Relaxed);
    result.and_then(|()| writeln!(f, "ok {ok} changed {changed} new {new} missed {missed}"))
}

/// # Safety
///
/// Called by the hook of the fork only, with the guard that it is attached with, and a valid task.
#[no_mangle]
unsafe extern "C" fn guard_on_fork(guard: *const Guard, child: *mut bindings::task_struct) {
    // SAFETY: By the contract: the guard is there until the hooks are detached.
    let (guard, child) = unsafe { (&*guard, &*child.cast::<Task>()) };
    guard.note_new(child, &rcu::read_lock());
}

/// # Safety
///
/// Called at the entry of `commit_creds()` only, with the guard of the hook, and the ids that the
/// calling task gets.
#[no_mangle]
unsafe extern "C" fn guard_on_commit(guard: *const Guard, next: *const Ids) {
    // SAFETY: By the contract.
    let (guard, next) = unsafe { (&*guard, *next) };
    let task: &Task = kernel::current!();
    let rcu = rcu::read_lock();
    let now = Ids::of(task);
    // What was overwritten before stays so: the change must not hide it.
    if !matches!(guard.check(task, now, &rcu), Finding::Changed) {
        let next = Some(next);
        guard.note(task, Mode::Any, Noted { now, next }, &rcu);
    }
}

/// # Safety
///
/// Called at the return of `commit_creds()` only, with the guard of the hook.
#[no_mangle]
unsafe extern "C" fn guard_on_committed(guard: *const Guard) {
    // SAFETY: By the contract.
    let guard = unsafe { &*guard };
    let task: &Task = kernel::current!();
    let rcu = rcu::read_lock();
    let now = Ids::of(task);
    if matches!(guard.check(task, now, &rcu), Finding::Ok) {
        guard.note(task, Mode::Any, Noted { now, next: None }, &rcu);
    }
}

/// The hooks, attached until this is dropped.
struct Hooks {
    /// The hooks use it.
    _guard: Arc<Guard>,
}

impl Hooks {
    fn attach(guard: Arc<Guard>) -> Result<Self> {
        // SAFETY: The guard stays at its address until the hooks are detached.
        to_result(unsafe { guard_attach(&*guard) })?;
        Ok(Self { _guard: guard })
    }
}

impl Drop for Hooks {
    fn drop(&mut self) {
        // SAFETY: They are attached.
        unsafe { guard_detach() };
    }
}

struct TaskGuard {
    // Dropped in this order.
    _file: Pin<KBox<File<Arc<Guard>>>>,
    _hooks: Hooks,
}

impl kernel::Module for TaskGuard {
    fn init(module: &'static ThisModule) -> Result<Self> {
        let guard = Guard {
            tasks: Map::new(module)?,
            missed: Atomic::new(0),
        };
        let guard = Arc::new(guard, GFP_KERNEL)?;
        // From here on, new tasks have entries.
        let hooks = Hooks::attach(guard.clone())?;
        for_each_task(|task| guard.note_new(task, &rcu::read_lock()));
        let dir = Dir::new(c"task_guard");
        Ok(Self {
            _file: KBox::pin_init(dir.read_callback_file(c"tasks", guard, &show), GFP_KERNEL)?,
            _hooks: hooks,
        })
    }
}
