// SPDX-License-Identifier: GPL-2.0

//! The table of kinds. A new kind of owners needs a file, and a row here.
//!
//! The file has a type that implements [`Kind`], a static `OPS`, and a function `attach()`, which
//! hooks the notice of death and returns the file's `Hooks`. It fails if the kind cannot do without
//! a hook that this kernel does not have. See `Documentation/owners.rst`.
//!
//! [`Kind`]: super::owner_ref::Kind

use super::{
    cgroup,
    hook::FtraceHook,
    netns,
    owner_ref::OwnerRef,
    socket,
    startup_test::{
        self,
        Finding,
        Findings, //
    },
    task, //
};
use crate::{
    storage::{
        error::Refusal,
        owner::{
            OwnerId,
            OwnerOps, //
        },
        runtime::Runtime, //
    },
    sync::{
        compat::{
            ENODATA,
            EOPNOTSUPP, //
        },
        fault::{
            self,
            Site, //
        },
        rcu::Guard,
        Atomic,
        Relaxed, //
    },
};
use core::ffi::CStr;
use kernel::{
    prelude::*,
    sync::aref::ARef,
    task::Task, //
};

/// All numbers of kinds are less than this.
pub(super) const NUMBERS: usize = 8;

/// Bit `1 << kind` for each kind that is served: its hooks are attached.
static SERVED: Atomic<u32> = Atomic::new(0);

/// By kind: the errno value that says why it is not served, or 0.
static REFUSED: [Atomic<u32>; NUMBERS] = [const { Atomic::new(0) }; NUMBERS];

/// By kind: whether a first notice of death has found an owner with values.
static NOTICED: [Atomic<bool>; NUMBERS] = [const { Atomic::new(false) }; NUMBERS];

/// Bit `1 << kind` for each kind whose notices of death a test wants lost.
static MUTE: Atomic<u32> = Atomic::new(0);

/// The hooks of a kind's notices of death, attached until it is dropped. Attach and drop may sleep.
pub(super) trait Hooks {
    /// Name of what the first notice of death hooks, for the log.
    fn notice(&self) -> &'static CStr;

    /// Detaches all hooks, since the kind is not served after all. A hook that cannot be detached
    /// stays, and pins the module.
    fn detach(&mut self);

    /// The hook of the second notice, if the kind has one that comes for every owner.
    fn backstop(&mut self) -> Option<&mut Option<FtraceHook>> {
        None
    }
}

macro_rules! kinds {
    ($($module:ident: $variant:ident($owner:ty),)*) => {
        /// An owner of a kind that user space can name, and a reference to it.
        ///
        /// # Examples
        ///
        /// ```
        /// use kernel::{prelude::*, sync::rcu, task::Task};
        /// use owner_storage::api::{AnyOwner, Map};
        ///
        /// /// Has the value of the calling thread, which another thread may look at meanwhile.
        /// fn own(map: &Map<u64>) -> Result<u64> {
        ///     let task: &Task = current!();
        ///     let owner = AnyOwner::Task(task.into());
        ///     let rcu = rcu::read_lock();
        ///     Ok(*map.get_or_create(&owner, || 0, &rcu)?.value)
        /// }
        /// ```
        pub enum AnyOwner {
            $(
                #[doc = concat!("See `rust/owner/", stringify!($module), ".rs`.")]
                $variant(ARef<$owner>),
            )*
        }

        impl AnyOwner {
            /// The owner without the reference.
            #[inline(always)]
            pub fn as_ref(&self) -> OwnerRef<'_> {
                match self {
                    $(Self::$variant(owner) => OwnerRef::new(&**owner),)*
                }
            }
        }

        /// The hooks of all kinds that this kernel can serve, attached until it is dropped. Attach
        /// and drop may sleep.
        pub(crate) struct AllHooks {
            $($module: Option<$module::Hooks>,)*
        }

        impl AllHooks {
            /// Attaches the hooks of all kinds, and runs the startup test. Logs what is refused.
            pub(crate) fn attach(mute: Mute) -> Self {
                MUTE.store(mute.startup, Relaxed);
                let mut hooks = Self {
                    $($module: serve(&$module::OPS, stringify!($module), $module::attach()),)*
                };
                hooks.run_startup_test();
                MUTE.store(mute.later, Relaxed);
                hooks
            }

            /// Calls `run` for each kind that is served.
            #[inline(never)]
            fn for_each(&mut self, run: &mut dyn FnMut(Served<'_>)) {
                $(
                    if let Some(hooks) = &mut self.$module {
                        run(Served {
                            ops: &$module::OPS,
                            name: stringify!($module),
                            hooks,
                        });
                    }
                )*
            }
        }

        impl Drop for AllHooks {
            /// Serves no kind any more. The hooks are dropped after this.
            fn drop(&mut self) {
                SERVED.store(0, Relaxed);
            }
        }
    };
}

kinds! {
    task: Task(Task),
    cgroup: Cgroup(cgroup::Cgroup),
    socket: Socket(socket::Socket),
    netns: NetNs(netns::NetNs),
}

/// Bits `1 << kind` of the kinds whose notices of death a test wants lost.
pub(crate) struct Mute {
    /// During the startup test.
    pub(crate) startup: u32,
    /// After it.
    pub(crate) later: u32,
}

/// A kind that is served.
struct Served<'a> {
    ops: &'static OwnerOps,
    name: &'static str,
    hooks: &'a mut dyn Hooks,
}

impl AllHooks {
    /// Makes and ends an object of each kind. Refuses the kinds whose hooks were not called.
    fn run_startup_test(&mut self) {
        match startup_test::run(&mut || self.backstops_called()) {
            Ok(findings) => {
                self.for_each(&mut |kind| kind.apply(&findings));
                self.apply_to_clones(&findings.copies);
            }
            Err(err) => log_untested("all owners", &err),
        }
    }

    /// Whether each backstop that is attached was called.
    fn backstops_called(&mut self) -> bool {
        let mut called = true;
        self.for_each(&mut |kind| called &= kind.hooks.backstop().is_none_or(is_called));
        called
    }

    fn apply_to_clones(&mut self, finding: &Finding) {
        let Some(hooks) = self.socket.as_mut().filter(|_| socket::clones()) else {
            return;
        };
        match finding {
            Finding::Called => {}
            Finding::Silent => {
                pr_warn!("bpf_sk_storage_clone() or tcp_ca_openreq_child() was not called for an accepted socket: no copies\n");
                hooks.detach_clone();
            }
            Finding::Unknown(err) => log_untested("accepted sockets", err),
        }
    }
}

fn serve<H>(ops: &OwnerOps, name: &str, hooks: Result<H>) -> Option<H> {
    note_attached(ops, name, hooks.as_ref().err());
    hooks.ok()
}

/// Notes that the hooks of a kind are attached, or why they are not.
fn note_attached(ops: &OwnerOps, name: &str, err: Option<&Error>) {
    let Some(err) = err else {
        REFUSED[ops.kind as usize].store(0, Relaxed);
        SERVED.add(1 << ops.kind, Relaxed);
        return;
    };
    refuse(ops, EOPNOTSUPP);
    pr_warn!("this kernel has no hook for the end of a {name}: no such owners ({err:?})\n");
}

fn refuse(ops: &OwnerOps, why: Error) {
    REFUSED[ops.kind as usize].store(why.to_errno().unsigned_abs(), Relaxed);
}

/// Whether the hook was called, or is not attached.
fn is_called(hook: &mut Option<FtraceHook>) -> bool {
    hook.as_ref().is_none_or(FtraceHook::was_called)
}

impl Served<'_> {
    /// Detaches the hooks that the startup test found useless.
    fn apply(self, findings: &Findings) {
        let Self { ops, name, hooks } = self;
        match &findings.kinds[ops.kind as usize] {
            Finding::Called => {}
            Finding::Silent => {
                SERVED.fetch_sub(1 << ops.kind, Relaxed);
                refuse(ops, ENODATA);
                let notice = hooks.notice();
                pr_warn!("{notice:?} was not called at the end of a {name}: no such owners\n");
                return hooks.detach();
            }
            Finding::Unknown(err) => return log_untested(name, err),
        }
        if let Some(backstop) = hooks.backstop() {
            if !is_called(backstop) {
                if let Some(function) = backstop.as_ref().map(FtraceHook::function) {
                    pr_warn!("{function:?} was not called at the end of a {name}: no backstop\n");
                }
                FtraceHook::detach_or_pin(backstop);
            }
        }
    }
}

/// A hook that a kind can do without. Logs that it does.
pub(super) fn optional<H>(what: &str, hook: Result<H>) -> Option<H> {
    if let Err(err) = &hook {
        log_lack(what, err);
    }
    hook.ok()
}

#[cold]
fn log_untested(what: &str, err: &Error) {
    pr_notice!("{what}: the hooks could not be tested ({err:?})\n");
}

#[cold]
fn log_lack(what: &str, err: &Error) {
    pr_info!("no {what} on this kernel ({err:?})\n");
}

/// By kind: 0, or the errno value that says why it is not served.
pub(crate) fn refused() -> [u8; NUMBERS] {
    core::array::from_fn(|number| REFUSED[number].load(Relaxed) as u8)
}

/// Notes that the first notice of death of an owner found values.
pub(super) fn noticed(ops: &OwnerOps) {
    let Some(noticed) = NOTICED.get(ops.kind as usize) else {
        return;
    };
    if !noticed.load(Relaxed) {
        noticed.store(true, Relaxed);
    }
}

/// Whether [`noticed`] was called for the kind.
pub(super) fn was_noticed(ops: &OwnerOps) -> bool {
    NOTICED[ops.kind as usize].load(Relaxed)
}

/// Bit `1 << kind` for each kind that is served.
pub(crate) fn served() -> u32 {
    SERVED.load(Relaxed)
}

/// Fails if the kind is not served.
pub(crate) fn check_served(ops: &OwnerOps) -> Result<(), Refusal> {
    if served() & 1 << ops.kind == 0 {
        return Err(Refusal::Unsupported);
    }
    Ok(())
}

/// The gate of a kind whose gate is the RCU read section that saw the owner alive.
pub(super) fn rcu_gate<'a>(
    ops: &OwnerOps,
    is_alive: impl FnOnce() -> bool,
    rcu: &'a Guard,
) -> Result<&'a Guard, Refusal> {
    check_served(ops)?;
    if is_alive() {
        Ok(rcu)
    } else {
        Err(Refusal::OwnerDead)
    }
}

/// Whether a test wants the kind's notice of death lost. False but in the test flavour.
pub(super) fn is_mute(ops: &OwnerOps) -> bool {
    cfg!(OSTOR_TEST) && (MUTE.load(Relaxed) & 1 << ops.kind != 0 || fault::skip(Site::DeathNotice))
}

/// Ends an owner's values, by its first notice of death. Not for kinds that are charged.
///
/// # Safety
///
/// As [`Runtime::owner_died`].
pub(crate) unsafe fn death_notice(ops: &OwnerOps, id: OwnerId) {
    if is_mute(ops) {
        return;
    }
    if let Some(runtime) = Runtime::get() {
        // SAFETY: The owner is dying, by the contract.
        if unsafe { runtime.owner_died(id) } {
            noticed(ops);
        }
    }
}

/// Ends what values an owner still has, by its second notice of death. Counts the loss of the first
/// if there are any.
///
/// # Safety
///
/// As [`Runtime::owner_died`].
pub(crate) unsafe fn backstop_notice(id: OwnerId) {
    if fault::skip(Site::Backstop) {
        return;
    }
    let Some(runtime) = Runtime::get() else {
        return;
    };
    // SAFETY: The owner is dying, by the contract.
    if unsafe { runtime.owner_died(id) } {
        runtime.stats.late_free.add(1);
    }
}
