// SPDX-License-Identifier: GPL-2.0

//! Shows the system calls that tasks are in, and a histogram of the time that calls take.
//!
//! `/sys/kernel/debug/syscalls/in_flight` has a line for each task that is in a system call: its
//! pid, the number of the call, the microseconds since it was entered, and the name of the task.
//! `/sys/kernel/debug/syscalls/histogram` has the calls that have returned, by the logarithm of the
//! nanoseconds that they took; with the parameter `number`, those of one number only.
//!
//! Calls that were entered before the module was loaded are in neither. Nor are those that do not
//! return, in which a task ends.

use kernel::{
    debugfs::{
        Dir,
        File, //
    },
    error::to_result,
    fmt,
    prelude::*,
    str::BStr,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Relaxed,
            Release, //
        },
        rcu,
        Arc, //
    },
    task::Task, //
};
use owner_storage::api::Map;

module! {
    type: Syscalls,
    name: "syscalls",
    authors: ["The owner_storage developers"],
    description: "Shows system calls in flight, and the time that calls take",
    license: "GPL",
    imports_ns: ["OWNER_STORAGE"],
    params: {
        number: i32 {
            default: -1,
            description: "Count only the calls of this number in the histogram (-1: all)",
        },
    },
}

#[expect(improper_ctypes, reason = "C does not look behind these pointers")]
unsafe extern "C" {
    fn syscalls_attach(calls: *const Calls) -> c_int;
    fn syscalls_detach(calls: *const Calls);
    safe fn syscalls_now() -> u64;
    fn syscalls_count(bucket: u32);
    fn syscalls_counted(bucket: u32) -> u64;
    fn syscalls_name_of(pid: i32, comm: *mut u8);
}

/// The last call that a task has entered. Only the task itself changes it.
struct Call {
    number: Atomic<i32>,
    /// When it was entered, in nanoseconds, or 0 if it has returned.
    since: Atomic<u64>,
}

impl Call {
    fn new() -> Self {
        Self {
            number: Atomic::new(0),
            since: Atomic::new(0),
        }
    }

    fn enter(&self, number: i32) {
        // After the 0 of the call before: a reader that sees this number sees that, too.
        self.number.store(number, Release);
        self.since.store(syscalls_now(), Release);
    }

    /// Returns the number of the call and the nanoseconds that it took, if the task was in one.
    fn leave(&self) -> Option<(i32, u64)> {
        let call = self.in_flight();
        self.since.store(0, Relaxed);
        call
    }

    /// Returns the number of the call that the task is in, and the nanoseconds so far. On any CPU.
    fn in_flight(&self) -> Option<(i32, u64)> {
        loop {
            let since = self.since.load(Acquire);
            let number = self.number.load(Acquire);
            // Else the number may be that of another call.
            if self.since.load(Relaxed) == since {
                let so_far = syscalls_now().saturating_sub(since);
                return (since != 0).then_some((number, so_far));
            }
        }
    }
}

struct Calls {
    tasks: Map<Call>,
    /// The number of the calls that are counted, or -1.
    number: i32,
    /// Calls that are not shown or counted, since there was no memory for the task's first one.
    missed: Atomic<u64>,
}

impl Calls {
    fn enter(&self, number: i32) {
        let task: &Task = kernel::current!();
        let rcu = rcu::read_lock();
        // One value serves all calls of the task.
        match self.tasks.get_or_create(task, Call::new, &rcu) {
            Ok(call) => call.value.enter(number),
            Err(_) => self.missed.add(1, Relaxed),
        }
    }

    fn leave(&self) -> Option<(i32, u64)> {
        let task: &Task = kernel::current!();
        let rcu = rcu::read_lock();
        self.tasks.get(task, &rcu)?.leave()
    }

    fn count(&self, number: i32, ns: u64) {
        if self.number == -1 || self.number == number {
            // SAFETY: There is a bucket for each bit of a `u64`.
            unsafe { syscalls_count((ns | 1).ilog2()) };
        }
    }
}

fn show_in_flight(calls: &Arc<Calls>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut result = writeln!(f, "{:>10} {:>6} {:>14} task", "pid", "call", "us");
    calls.tasks.for_each(|task, call| {
        let Some((number, ns)) = call.in_flight() else {
            return;
        };
        let mut name = [0; kernel::bindings::TASK_COMM_LEN as usize];
        // SAFETY: `for_each` visits in RCU read sections, and the name fits.
        unsafe { syscalls_name_of(task.id as i32, name.as_mut_ptr()) };
        let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
        let (pid, us, name) = (task.id, ns / 1000, BStr::from_bytes(name));
        result = result.and_then(|()| f.write_fmt(fmt!("{pid:>10} {number:>6} {us:>14} {name}\n")));
    });
    result
}

/// Draws it in 80 columns.
fn show_histogram(calls: &Arc<Calls>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let counts: [u64; 64] = core::array::from_fn(|bucket| {
        // SAFETY: There is a bucket for each bit of a `u64`.
        unsafe { syscalls_counted(bucket as u32) }
    });
    let (total, missed) = (counts.iter().sum::<u64>(), calls.missed.load(Relaxed));
    let most = counts.iter().copied().max().unwrap_or(0);
    let used = |&count: &u64| count > 0;
    let first = counts.iter().position(used).unwrap_or(0);
    let end = counts.iter().rposition(used).map_or(0, |last| last + 1);
    writeln!(f, "{:>19} {:>14}", "ns, at least", "calls")?;
    for (bucket, &count) in counts.iter().enumerate().take(end).skip(first) {
        let width = (count * 44).div_ceil(most) as usize;
        writeln!(f, "{:>19} {count:>14} {:#<width$}", 1u64 << bucket, "")?;
    }
    writeln!(f, "calls {total} missed {missed}")
}

/// # Safety
///
/// Called by the hooks only, with the calls that they are attached with.
#[no_mangle]
unsafe extern "C" fn syscalls_enter(calls: *const Calls, number: c_int) {
    // SAFETY: By the contract: the calls are there until the hooks are detached.
    unsafe { &*calls }.enter(number);
}

/// # Safety
///
/// As [`syscalls_enter`].
#[no_mangle]
unsafe extern "C" fn syscalls_leave(calls: *const Calls) {
    // SAFETY: By the contract.
    let calls = unsafe { &*calls };
    if let Some((number, ns)) = calls.leave() {
        calls.count(number, ns);
    }
}

/// The calling task ends. The call that it is in does not return, so it is not counted.
///
/// # Safety
///
/// As [`syscalls_enter`].
#[no_mangle]
unsafe extern "C" fn syscalls_end(calls: *const Calls) {
    // SAFETY: By the contract.
    unsafe { &*calls }.leave();
}

/// The hooks, attached until this is dropped.
struct Hooks(Arc<Calls>);

impl Hooks {
    fn attach(calls: Arc<Calls>) -> Result<Self> {
        // SAFETY: The calls stay at their address until the hooks are detached.
        to_result(unsafe { syscalls_attach(&*calls) })?;
        Ok(Self(calls))
    }
}

impl Drop for Hooks {
    fn drop(&mut self) {
        // SAFETY: They are attached with these calls.
        unsafe { syscalls_detach(&*self.0) };
    }
}

struct Syscalls {
    // Dropped in this order.
    _in_flight: Pin<KBox<File<Arc<Calls>>>>,
    _histogram: Pin<KBox<File<Arc<Calls>>>>,
    _hooks: Hooks,
}

impl kernel::Module for Syscalls {
    fn init(module: &'static ThisModule) -> Result<Self> {
        #[allow(clippy::clone_on_copy, reason = "Linux 7.2 gives a reference")]
        let number = module_parameters::number.value().clone();
        let calls = Calls {
            tasks: Map::new(module)?,
            number,
            missed: Atomic::new(0),
        };
        let calls = Arc::new(calls, GFP_KERNEL)?;
        let hooks = Hooks::attach(calls.clone())?;
        let dir = Dir::new(c"syscalls");
        let in_flight = dir.read_callback_file(c"in_flight", calls.clone(), &show_in_flight);
        let histogram = dir.read_callback_file(c"histogram", calls, &show_histogram);
        Ok(Self {
            _in_flight: KBox::pin_init(in_flight, GFP_KERNEL)?,
            _histogram: KBox::pin_init(histogram, GFP_KERNEL)?,
            _hooks: hooks,
        })
    }
}
