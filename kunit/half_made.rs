// SPDX-License-Identifier: GPL-2.0

//! Tasks and cgroups that are still being made, and tasks that never end.
//!
//! Forks are made to fail where `copy_process()` calls a function that is in the symbols of every
//! test kernel, takes the new task, and reports errors. Not tried: `copy_exec_state()`, which comes
//! before the task has its name, and `copy_creds()`, which arms the fault; and the failures under the
//! lock of the task list.
//! Without kprobes and ftrace, as in user-mode Linux, there is no such test.

use kernel::prelude::*;

#[cfg_attr(
    not(all(CONFIG_KPROBES, CONFIG_DYNAMIC_FTRACE_WITH_ARGS)),
    allow(dead_code, unused_imports)
)]
#[kunit_tests(ostor_half_made)]
mod tests {
    use super::super::{
        inject::inject,
        mock::Fixture, //
    };
    use super::*;
    use crate::{
        owner::hook::{
            FtraceHook,
            TracepointProbe, //
        },
        shim,
        storage::runtime::Runtime,
        sync::{
            counter::Counter,
            deferred,
            fault::Site,
            rcu,
            Atomic,
            Relaxed, //
        },
    };
    use core::{
        ffi::{
            c_int,
            c_uint,
            CStr, //
        },
        marker::PhantomData,
        ptr::{
            self,
            NonNull, //
        }, //
    };
    use kernel::{
        bindings,
        error::from_err_ptr,
        ffi::c_void,
        str::CStrExt,
        task::Task, //
    };

    /// The name of the tasks that the suite makes, by which hooks tell them from others.
    const NAME: &CStr = c"ostor-half-made";

    /// Threads that are made for a place.
    const TURNS: u64 = 8;

    /// Functions of `copy_process()` that get the new task as their first argument. All are called
    /// before the last failure, and after `copy_creds()`.
    const FIRST: [&CStr; 5] = [
        c"cgroup_fork",
        c"perf_event_init_task",
        c"copy_thread",
        c"cgroup_can_fork",
        c"sched_cgroup_fork",
    ];

    /// The same, as their second argument.
    const SECOND: [&CStr; 7] = [
        c"sched_fork",
        c"copy_files",
        c"copy_fs",
        c"copy_sighand",
        c"copy_signal",
        c"copy_mm",
        c"copy_namespaces",
    ];

    /// Functions whose failure makes the fork fail, in the order in which they are called.
    const FAILING: [&CStr; 12] = [
        c"sched_fork",
        c"perf_event_init_task",
        c"copy_files",
        c"copy_fs",
        c"copy_sighand",
        c"copy_signal",
        c"copy_mm",
        c"copy_namespaces",
        c"copy_thread",
        c"alloc_pid",
        c"cgroup_can_fork",
        c"sched_cgroup_fork",
    ];

    /// The fixture that hooks store into, and what became of it.
    struct Seen {
        fixture: Fixture,
        /// Unfinished tasks that were refused, or let through.
        refused: Counter,
        stored: Counter,
        /// Unfinished tasks that had a value before anybody stored one.
        stale: Counter,
        /// Finished tasks that were refused, or let through.
        finished_refused: Counter,
        finished_stored: Counter,
    }

    impl Seen {
        fn new() -> Result<KBox<Self>> {
            let seen = Self {
                fixture: Fixture::new()?,
                refused: Counter::new(),
                stored: Counter::new(),
                stale: Counter::new(),
                finished_refused: Counter::new(),
                finished_stored: Counter::new(),
            };
            Ok(KBox::new(seen, GFP_KERNEL)?)
        }

        /// Stores a value for `task`.
        fn store(&self, task: &Task) -> bool {
            let rcu = rcu::read_lock();
            let new = || self.fixture.tally.value(1);
            self.fixture.map.get_or_create(task, new, &rcu).is_ok()
        }

        /// Looks for a value of an unfinished task, and tries to store one.
        fn unfinished(&self, task: &Task) {
            if self.fixture.map.get(task, &rcu::read_lock()).is_some() {
                self.stale.add(1);
            }
            let count = if self.store(task) {
                &self.stored
            } else {
                &self.refused
            };
            count.add(1);
        }

        /// Stores a value for a finished task.
        fn finished(&self, task: &Task) {
            let count = if self.store(task) {
                &self.finished_stored
            } else {
                &self.finished_refused
            };
            count.add(1);
        }
    }

    /// Where the [`Seen`] of the test that has hooks attached is.
    static SEEN: Atomic<usize> = Atomic::new(0);

    /// Calls `see` with what the test has seen so far and with the task at `task`, if that is one
    /// of the suite's.
    ///
    /// # Safety
    ///
    /// The task must be valid, and the hooks of a test be attached.
    unsafe fn with_ours(task: usize, see: impl FnOnce(&Seen, &Task)) {
        let task = ptr::with_exposed_provenance::<bindings::task_struct>(task);
        // SAFETY: Valid by the contract. The name was written by the caller of the hook.
        let comm = unsafe { (*task).comm };
        let name = comm.iter().map(|&c| c as u8);
        if !name.eq(NAME.to_bytes_with_nul().iter().copied()) {
            return;
        }
        let seen = ptr::with_exposed_provenance::<Seen>(SEEN.load(Relaxed));
        // SAFETY: Set before the hooks were attached, and freed after they are detached. A
        // `task_struct` is what a `Task` is.
        unsafe { see(&*seen, &*task.cast::<Task>()) };
    }

    /// # Safety
    ///
    /// The hook of `copy_creds()`, which is called before what fails, and after the name was set.
    unsafe extern "C" fn on_creds(task: usize, _: usize) {
        let arm_and_see = |seen: &Seen, task: &Task| {
            // SAFETY: An FFI call with no requirement.
            unsafe { shim::ostor_fork_fault_arm() };
            seen.unfinished(task);
        };
        // SAFETY: The task that `copy_process()` is making.
        unsafe { with_ours(task, arm_and_see) };
    }

    /// # Safety
    ///
    /// A hook of one of [`FIRST`].
    unsafe extern "C" fn on_first(task: usize, _: usize) {
        // SAFETY: The task that `copy_process()` is making.
        unsafe { with_ours(task, Seen::unfinished) };
    }

    /// # Safety
    ///
    /// A hook of one of [`SECOND`].
    unsafe extern "C" fn on_second(_: usize, task: usize) {
        // SAFETY: The task that `copy_process()` is making.
        unsafe { with_ours(task, Seen::unfinished) };
    }

    /// # Safety
    ///
    /// The hook of `wake_up_new_task()`.
    unsafe extern "C" fn on_wake(task: usize, _: usize) {
        // SAFETY: The task that was made.
        unsafe { with_ours(task, Seen::finished) };
    }

    /// # Safety
    ///
    /// The probe of the tracepoint `task_newtask`.
    unsafe extern "C" fn on_new(_: *mut c_void, task: *mut bindings::task_struct, _: u64) {
        // SAFETY: The task that was made.
        unsafe { with_ours(task.expose_provenance(), Seen::finished) };
    }

    /// All hooks, attached until it is dropped.
    struct Hooks<'a> {
        _entries: KVec<FtraceHook>,
        _new: TracepointProbe,
        _seen: PhantomData<&'a Seen>,
    }

    impl<'a> Hooks<'a> {
        fn attach(seen: &'a Seen) -> Result<Self> {
            SEEN.store(ptr::from_ref(seen).expose_provenance(), Relaxed);
            let mut entries = KVec::new();
            // SAFETY: The hook of this function.
            let creds = unsafe { FtraceHook::attach(c"copy_creds", on_creds) }?;
            entries.push(creds, GFP_KERNEL)?;
            for name in FIRST {
                // SAFETY: A hook of this function.
                entries.push(unsafe { FtraceHook::attach(name, on_first) }?, GFP_KERNEL)?;
            }
            for name in SECOND {
                // SAFETY: A hook of this function.
                entries.push(unsafe { FtraceHook::attach(name, on_second) }?, GFP_KERNEL)?;
            }
            // SAFETY: The hook of this function.
            let wake = unsafe { FtraceHook::attach(c"wake_up_new_task", on_wake) }?;
            entries.push(wake, GFP_KERNEL)?;
            // SAFETY: The probe of this tracepoint.
            let new = unsafe { TracepointProbe::attach(c"task_newtask", on_new as *mut c_void) }?;
            Ok(Self {
                _entries: entries,
                _new: new,
                _seen: PhantomData,
            })
        }
    }

    /// A function that fails, until it is dropped.
    struct Failing(NonNull<c_void>);

    impl Failing {
        fn attach(function: &'static CStr) -> Result<Self> {
            // SAFETY: The name is static.
            let probe = unsafe { shim::ostor_fork_fault_attach(function.as_char_ptr()) };
            Ok(Self(NonNull::new(from_err_ptr(probe)?).ok_or(ENOMEM)?))
        }
    }

    impl Drop for Failing {
        fn drop(&mut self) {
            // SAFETY: Attached by `attach`.
            unsafe { shim::ostor_fork_fault_detach(self.0.as_ptr()) };
        }
    }

    unsafe extern "C" fn idle(_: *mut c_void) -> c_int {
        0
    }

    /// Has `kthreadd` make a thread of the suite's name, and ends it.
    fn make_thread() -> Result {
        // SAFETY: The name is a format without arguments; the thread, which never runs, is stopped.
        unsafe {
            let name = NAME.as_char_ptr();
            let task = bindings::kthread_create_on_node(Some(idle), ptr::null_mut(), -1, name);
            bindings::kthread_stop(from_err_ptr(task)?);
        }
        Ok(())
    }

    /// Makes threads while each of [`FAILING`] fails, and then some with which nothing does.
    /// Returns how many forks of the former failed, as they have to.
    fn fork_and_fail(_hooks: &Hooks<'_>) -> Result<u64> {
        let mut failed = 0;
        for function in FAILING {
            let _failing = Failing::attach(function)
                .inspect_err(|err| pr_err!("no probe on {function:?}: {err:?}\n"))?;
            for _ in 0..TURNS {
                match make_thread() {
                    Err(ENOMEM) => failed += 1,
                    other => pr_err!("{function:?} did not fail: {other:?}\n"),
                }
            }
        }
        for _ in 0..TURNS {
            make_thread()?;
        }
        Ok(failed)
    }

    #[test]
    #[cfg(all(CONFIG_KPROBES, CONFIG_DYNAMIC_FTRACE_WITH_ARGS))]
    fn failed_forks_leave_nothing() -> Result {
        let late_free = &Runtime::get().ok_or(ENODEV)?.stats.late_free;
        let before = late_free.get();
        let seen = Seen::new()?;
        let no_backstop = inject(Site::Backstop, -1)?;
        let hooks = Hooks::attach(&seen)?;
        let failed = fork_and_fail(&hooks);
        drop(hooks);
        // The values of the threads that were finished go with them.
        let left = !seen.fixture.tally.wait_for(0);
        drop(no_backstop);
        pr_info!(
            "unfinished: {} refused, {} stored, {} stale; finished: {} refused, {} stored\n",
            seen.refused.get(),
            seen.stored.get(),
            seen.stale.get(),
            seen.finished_refused.get(),
            seen.finished_stored.get(),
        );
        assert_eq!(failed?, TURNS * FAILING.len() as u64);
        assert!(seen.refused.get() >= TURNS * FAILING.len() as u64 * 2);
        assert_eq!(seen.stored.get(), 0);
        assert_eq!(seen.stale.get(), 0);
        assert_eq!(seen.finished_refused.get(), 0);
        assert_eq!(seen.finished_stored.get(), 2 * TURNS);
        assert!(!left);
        assert_eq!(seen.fixture.elements(), 0);
        assert_eq!(late_free.get(), before);
        Ok(())
    }

    /// As `cgroup_create()` and `cgroup_setup_root()` make a cgroup: from zeroed memory, with its
    /// list empty, then linked.
    #[test]
    fn a_cgroup_is_refused_until_it_is_linked() -> Result {
        // A power of two, which the allocator aligns to itself.
        let words = size_of::<bindings::cgroup_root>().next_power_of_two() / size_of::<u64>();
        let mut root = KVec::from_elem(0u64, words, GFP_KERNEL)?;
        let mut child = KVec::from_elem(0u64, words, GFP_KERNEL)?;
        let mut head = bindings::list_head::default();
        // SAFETY: Reads the cgroup, whose root is missing or lives, and its list's first member.
        let is_alive = |cgroup: *mut bindings::cgroup| unsafe { shim::ostor_cgroup_alive(cgroup) };
        let root = root.as_mut_ptr().cast::<bindings::cgroup_root>();
        let child = child.as_mut_ptr().cast::<bindings::cgroup>();
        let head = &raw mut head;
        let mut seen = [false; 6];
        // SAFETY: All three live until the end, and nothing else has them.
        unsafe {
            seen[0] = is_alive(child);
            (*child).root = root;
            let sibling = &raw mut (*child).self_.sibling;
            (*sibling).next = sibling;
            seen[1] = is_alive(child);
            (*sibling).next = head;
            seen[2] = is_alive(child);
            let top = &raw mut (*root).cgrp;
            (*top).root = root;
            seen[3] = is_alive(top);
            let list = &raw mut (*root).root_list;
            (*list).next = list;
            seen[4] = is_alive(top);
            (*list).next = head;
            seen[5] = is_alive(top);
        }
        assert_eq!(seen, [false, false, true, false, false, true]);
        Ok(())
    }

    /// The idle tasks that were switched to, by address; as many as fit.
    static IDLE: [Atomic<usize>; 8] = [const { Atomic::new(0) }; 8];

    /// # Safety
    ///
    /// The probe of the tracepoint `sched_switch`.
    unsafe extern "C" fn on_switch(
        _: *mut c_void,
        _: bool,
        _: *mut bindings::task_struct,
        next: *mut bindings::task_struct,
        _: c_uint,
    ) {
        // SAFETY: The task that is switched to is valid. `de_thread()` may write the pid.
        if unsafe { (&raw const (*next).pid).read_volatile() } != 0 {
            return;
        }
        // SAFETY: An FFI call with no requirement.
        let cpu = unsafe { shim::ostor_this_cpu() } as usize;
        if let Some(slot) = IDLE.get(cpu) {
            slot.store(next.expose_provenance(), Relaxed);
        }
    }

    #[test]
    fn idle_tasks_own_values() -> Result {
        {
            let probe = on_switch as *mut c_void;
            // SAFETY: The probe of this tracepoint.
            let _probe = unsafe { TracepointProbe::attach(c"sched_switch", probe) }?;
            for _ in 0..40 {
                deferred::sleep_10ms();
            }
        }
        let init = (&raw const bindings::init_task).expose_provenance();
        let seen = Seen::new()?;
        seen.finished(ptr_to_task(init));
        for slot in &IDLE {
            let task = slot.load(Relaxed);
            if task != 0 && task != init {
                seen.finished(ptr_to_task(task));
            }
        }
        assert_eq!(seen.finished_refused.get(), 0);
        assert!(seen.finished_stored.get() >= 1);
        assert_eq!(seen.fixture.elements(), seen.finished_stored.get());
        Ok(())
    }

    /// The idle task at `address`.
    fn ptr_to_task(address: usize) -> &'static Task {
        // SAFETY: The callers have the address of an idle task, which never goes.
        unsafe { &*ptr::with_exposed_provenance::<Task>(address) }
    }
}
