// SPDX-License-Identifier: GPL-2.0

//! Counts the forks and execs of each cgroup of version 2, and reports those that fork too often.
//!
//! `/sys/kernel/debug/cgroup_forks/counts` has a line for each cgroup that has forked or executed
//! since the module was loaded: its id, which is the inode number of its directory, its forks, its
//! execs, and `over` if it has forked more often than the parameter `limit` says. The log has a
//! line when that happens. A cgroup's counts go with it.

use kernel::{
    bindings,
    debugfs::{
        Dir,
        File, //
    },
    error::to_result,
    fmt,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        rcu,
        Arc, //
    }, //
};
use owner_storage::api::{
    Cgroup,
    Map,
    Owner, //
};

module! {
    type: CgroupForks,
    name: "cgroup_forks",
    authors: ["The owner_storage developers"],
    description: "Counts the forks and execs of each cgroup",
    license: "GPL",
    imports_ns: ["OWNER_STORAGE"],
    params: {
        limit: u64 {
            default: 1000000,
            description: "Report cgroups that have forked more often than this",
        },
    },
}

#[expect(improper_ctypes, reason = "C does not look behind these pointers")]
extern "C" {
    fn forks_attach(counter: *const Counter) -> c_int;
    fn forks_detach(counter: *const Counter);
}

/// What a cgroup has done.
struct Counts {
    forks: Atomic<u64>,
    execs: Atomic<u64>,
}

struct Counter {
    cgroups: Map<Counts>,
    limit: u64,
    /// Forks and execs that could not be counted: there was no memory for a cgroup's first one.
    missed: Atomic<u64>,
}

impl Counter {
    fn count(&self, cgroup: &Cgroup, is_exec: bool) {
        let rcu = rcu::read_lock();
        let new = || Counts {
            forks: Atomic::new(0),
            execs: Atomic::new(0),
        };
        let Ok(counts) = self.cgroups.get_or_create(cgroup, new, &rcu) else {
            self.missed.add(1, Relaxed);
            return;
        };
        if is_exec {
            counts.value.execs.add(1, Relaxed);
        } else if counts.value.forks.fetch_add(1, Relaxed) == self.limit {
            let id = cgroup.label(&rcu).id;
            pr_warn!("cgroup {id} has forked more than {} times\n", self.limit);
        }
    }
}

fn show(counter: &Arc<Counter>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut result = Ok(());
    counter.cgroups.for_each(|cgroup, counts| {
        let (forks, execs) = (counts.forks.load(Relaxed), counts.execs.load(Relaxed));
        let over = if forks > counter.limit { " over" } else { "" };
        result = result.and_then(|()| writeln!(f, "{} {forks} {execs}{over}", cgroup.id));
    });
    result.and_then(|()| writeln!(f, "missed {}", counter.missed.load(Relaxed)))
}

/// # Safety
///
/// Called by the hooks only, with the counter that they are attached with, and with a reference to
/// the cgroup.
#[no_mangle]
unsafe extern "C" fn forks_count(
    counter: *const Counter,
    cgroup: *mut bindings::cgroup,
    is_exec: bool,
) {
    // SAFETY: By the contract: the counter is there until the hooks are detached, and the caller
    // has a reference to the cgroup.
    let (counter, cgroup) = unsafe { (&*counter, Cgroup::from_raw(cgroup)) };
    counter.count(cgroup, is_exec);
}

/// The hooks, attached until this is dropped.
struct Hooks(Arc<Counter>);

impl Hooks {
    fn attach(counter: Arc<Counter>) -> Result<Self> {
        // SAFETY: The counter stays at its address until the hooks are detached.
        to_result(unsafe { forks_attach(&*counter) })?;
        Ok(Self(counter))
    }
}

impl Drop for Hooks {
    fn drop(&mut self) {
        // SAFETY: They are attached with this counter.
        unsafe { forks_detach(&*self.0) };
    }
}

struct CgroupForks {
    // Dropped in this order.
    _file: Pin<KBox<File<Arc<Counter>>>>,
    _hooks: Hooks,
}

impl kernel::Module for CgroupForks {
    fn init(module: &'static ThisModule) -> Result<Self> {
        #[allow(clippy::clone_on_copy, reason = "Linux 7.2 gives a reference")]
        let limit = module_parameters::limit.value().clone();
        let counter = Counter {
            cgroups: Map::new(module)?,
            limit,
            missed: Atomic::new(0),
        };
        let counter = Arc::new(counter, GFP_KERNEL)?;
        let hooks = Hooks::attach(counter.clone())?;
        let dir = Dir::new(c"cgroup_forks");
        let file = dir.read_callback_file(c"counts", counter, &show);
        Ok(Self {
            _file: KBox::pin_init(file, GFP_KERNEL)?,
            _hooks: hooks,
        })
    }
}
