// SPDX-License-Identifier: GPL-2.0

//! The gates of tasks and cgroups that the kernel has not finished, and of idle tasks.
//!
//! A kprobe makes forks fail in the functions that `copy_process()` calls, that take the new task
//! and report errors, and that every test kernel has a symbol of. Left out are `copy_exec_state()`,
//! which is called before the task has its name, `copy_creds()`, which arms the fault, and the
//! failures under the lock of the task list. Kernels without kprobes or ftrace, as user-mode Linux,
//! do not have the test.

use kernel::prelude::*;

#[cfg_attr(
    not(all(CONFIG_KPROBES, CONFIG_DYNAMIC_FTRACE_WITH_ARGS)),
    allow(dead_code, unused_imports)
)]
#[kunit_tests(ostor_unfinished_owners)]
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

    /// The name of the suite's tasks, by which the hooks know them. It fills `comm`.
    const NAME: &CStr = c"ostor-new-tasks";

    /// Threads to make for each function that fails.
    const TURNS: u64 = 8;

    /// Functions that `copy_process()` calls with the new task as first argument, after
    /// `copy_creds()` and before its last failure.
    const FIRST: [&CStr; 5] = [
        c"cgroup_fork",
        c"perf_event_init_task",
        c"copy_thread",
        c"cgroup_can_fork",
        c"sched_cgroup_fork",
    ];

    /// The same, with the new task as second argument.
    const SECOND: [&CStr; 7] = [
        c"sched_fork",
        c"copy_files",
        c"copy_fs",
        c"copy_sighand",
        c"copy_signal",
        c"copy_mm",
        c"copy_namespaces",
    ];

    /// Functions whose error `copy_process()` returns, in the order of the calls.
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

    /// The map that the hooks store into, and what they saw.
    struct Seen {
        fixture: Fixture,
        /// Stores for unfinished tasks that the gate refused, or let through.
        refused: Counter,
        stored: Counter,
        /// Unfinished tasks that had a value before a hook stored one.
        stale: Counter,
        /// Stores for finished tasks that the gate refused, or let through.
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

        /// Stores a value for `task`. Returns whether the gate let it through.
        fn store(&self, task: &Task) -> bool {
            let rcu = rcu::read_lock();
            let new = || self.fixture.values.value(1);
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

    /// Address of the [`Seen`] of the test whose hooks are attached.
    static SEEN: Atomic<usize> = Atomic::new(0);

    /// Calls `see` with the test's [`Seen`] and the task at `task`, if that is one of the suite's.
    ///
    /// # Safety
    ///
    /// The task must be valid, and the hooks of a test must be attached.
    unsafe fn with_ours(task: usize, see: impl FnOnce(&Seen, &Task)) {
        let task = ptr::with_exposed_provenance::<bindings::task_struct>(task);
        // SAFETY: The task is valid by the contract. `copy_process()`, which calls the hooked
        // function, has written the name.
        let comm = unsafe { (*task).comm };
        let name = comm.iter().map(|&c| c as u8);
        if !name.eq(NAME.to_bytes_with_nul().iter().copied()) {
            return;
        }
        let seen = ptr::with_exposed_provenance::<Seen>(SEEN.load(Relaxed));
        // SAFETY: `SEEN` was set before the hooks were attached, and what it points to is freed
        // after they are detached. A `Task` is a transparent `task_struct`.
        unsafe { see(&*seen, &*task.cast::<Task>()) };
    }

    /// # Safety
    ///
    /// May only be called as the hook of `copy_creds()`, which is called after the task has its
    /// name, and before each of [`FAILING`].
    unsafe extern "C" fn on_creds(task: usize, _: usize) {
        let arm_and_see = |seen: &Seen, task: &Task| {
            // SAFETY: An FFI call with no requirement.
            unsafe { shim::ostor_fork_fault_arm() };
            seen.unfinished(task);
        };
        // SAFETY: `copy_process()` is making the task, so it is valid.
        unsafe { with_ours(task, arm_and_see) };
    }

    /// # Safety
    ///
    /// May only be called as a hook of one of [`FIRST`].
    unsafe extern "C" fn on_first(task: usize, _: usize) {
        // SAFETY: `copy_process()` is making the task, so it is valid.
        unsafe { with_ours(task, Seen::unfinished) };
    }

    /// # Safety
    ///
    /// May only be called as a hook of one of [`SECOND`].
    unsafe extern "C" fn on_second(_: usize, task: usize) {
        // SAFETY: `copy_process()` is making the task, so it is valid.
        unsafe { with_ours(task, Seen::unfinished) };
    }

    /// # Safety
    ///
    /// May only be called as the hook of `wake_up_new_task()`.
    unsafe extern "C" fn on_wake(task: usize, _: usize) {
        // SAFETY: `kernel_clone()` has made the task and not woken it yet, so it is valid.
        unsafe { with_ours(task, Seen::finished) };
    }

    /// # Safety
    ///
    /// May only be called as the probe of the tracepoint `task_newtask`.
    unsafe extern "C" fn on_new(_: *mut c_void, task: *mut bindings::task_struct, _: u64) {
        // SAFETY: `kernel_clone()` has made the task and not woken it yet, so it is valid.
        unsafe { with_ours(task.expose_provenance(), Seen::finished) };
    }

    /// The hooks of the suite, attached until it is dropped.
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

    /// A kprobe that makes a function fail for the task that armed it, until it is dropped.
    struct Failing(NonNull<c_void>);

    impl Failing {
        fn attach(function: &'static CStr) -> Result<Self> {
            // SAFETY: The name is static, so it stays until the detach.
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

    /// Has `kthreadd` fork a thread with the suite's name, and stops the thread.
    fn make_thread() -> Result {
        // SAFETY: The name is a format without conversions. The thread has not run, so it stays
        // until `kthread_stop()`.
        unsafe {
            let name = NAME.as_char_ptr();
            let task = bindings::kthread_create_on_node(Some(idle), ptr::null_mut(), -1, name);
            bindings::kthread_stop(from_err_ptr(task)?);
        }
        Ok(())
    }

    /// Makes threads while each of [`FAILING`] in turn fails, and then threads whose forks succeed.
    /// Returns how many of the first failed; all must.
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
        // The finished threads have died, and their values with them.
        let left = !seen.fixture.values.wait_for(0);
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

    /// A cgroup in the states that `cgroup_create()` and `cgroup_setup_root()` take it through:
    /// zeroed, with an empty list, linked.
    #[test]
    fn a_cgroup_is_refused_until_it_is_linked() -> Result {
        // The allocator aligns a power of two to its size.
        let words = size_of::<bindings::cgroup_root>().next_power_of_two() / size_of::<u64>();
        let mut root = KVec::from_elem(0u64, words, GFP_KERNEL)?;
        let mut child = KVec::from_elem(0u64, words, GFP_KERNEL)?;
        let mut head = bindings::list_head::default();
        // SAFETY: The cgroup is valid, and so are its root and the first member of its list, where
        // they are not null.
        let is_alive = |cgroup: *mut bindings::cgroup| unsafe { shim::ostor_cgroup_alive(cgroup) };
        let root = root.as_mut_ptr().cast::<bindings::cgroup_root>();
        let child = child.as_mut_ptr().cast::<bindings::cgroup>();
        let head = &raw mut head;
        let mut seen = [false; 6];
        // SAFETY: All three are valid until the test ends, and no other code knows them.
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

    /// The addresses of the idle tasks that a CPU switched to, by CPU.
    static IDLE: [Atomic<usize>; 8] = [const { Atomic::new(0) }; 8];

    /// # Safety
    ///
    /// May only be called as the probe of the tracepoint `sched_switch`.
    unsafe extern "C" fn on_switch(
        _: *mut c_void,
        _: bool,
        _: *mut bindings::task_struct,
        next: *mut bindings::task_struct,
        _: c_uint,
    ) {
        // SAFETY: The task that the CPU switches to is valid. The read is volatile, as
        // `de_thread()` may write the pid.
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

    /// The idle task at `address`, which must be one's.
    fn ptr_to_task(address: usize) -> &'static Task {
        // SAFETY: An idle task is never freed.
        unsafe { &*ptr::with_exposed_provenance::<Task>(address) }
    }
}
