// SPDX-License-Identifier: GPL-2.0

//! The table of kinds. A new kind of owners is a file and a row here.
//!
//! The file has a type that implements [`Owner`], a static `OPS`, and a type `Hooks` whose
//! `attach()` arranges for the notice of death; see `Documentation/owners.rst`.

use super::{
    cgroup,
    hook::FtraceHook,
    netns,
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
            Owner,
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
        nolock::Payer,
        rcu::Guard,
        Atomic,
        Relaxed, //
    },
};
use kernel::{
    prelude::*,
    sync::aref::ARef,
    task::Task, //
};

/// Numbers of kinds are below this.
pub(super) const NUMBERS: usize = 8;

/// Bit `1 << number` for each kind whose hooks are attached.
static SERVED: Atomic<u32> = Atomic::new(0);

/// By number: the errno value that says why a kind is not served, or 0.
static REFUSED: [Atomic<u32>; NUMBERS] = [const { Atomic::new(0) }; NUMBERS];

/// By number: whether a first notice of death has found an owner with values.
static NOTICED: [Atomic<bool>; NUMBERS] = [const { Atomic::new(false) }; NUMBERS];

/// Bit `1 << number` for each kind whose notices of death are lost, for tests.
static MUTE: Atomic<u32> = Atomic::new(0);

/// What tells of the death of the owners of a kind, attached until it is dropped. Both may sleep.
pub(super) trait Hooks: Sized {
    /// What the first notice of death is a hook of.
    const NOTICE: &'static str;

    /// Attaches what the kind cannot do without, and what else there is.
    fn attach() -> Result<Self>;

    /// Detaches everything: the kind is not served after all. A hook that cannot be detached stays,
    /// and pins the module.
    fn detach(&mut self);

    /// The hook of a second notice that comes for every owner, where there is one.
    fn backstop(&mut self) -> Option<&mut Option<FtraceHook>> {
        None
    }
}

/// What is done with an owner of whatever kind it is.
pub(crate) trait Visitor {
    /// What comes out.
    type Output;

    /// Does it.
    fn visit<O: Owner + Sync>(self, owner: &O) -> Self::Output;
}

macro_rules! kinds {
    ($($module:ident: $variant:ident($owner:ty),)*) => {
        /// An owner of one of the kinds.
        pub(crate) enum AnyOwner {
            $(
                #[doc = concat!("See [`", stringify!($module), "`].")]
                $variant(ARef<$owner>),
            )*
        }

        impl AnyOwner {
            /// Lets `visitor` do what it does, compiled for the kind.
            pub(crate) fn visit<V: Visitor>(&self, visitor: V) -> V::Output {
                match self {
                    $(Self::$variant(owner) => visitor.visit(&**owner),)*
                }
            }
        }

        /// The gate of an owner of one of the kinds.
        pub(crate) enum AnyGate<'a> {
            $(
                #[doc = concat!("See [`", stringify!($module), "`].")]
                $variant { _gate: <$owner as Owner>::Gate<'a> },
            )*
        }

        // SAFETY: What the kind promises.
        unsafe impl Owner for AnyOwner {
            type Gate<'a> = AnyGate<'a>;

            fn ops(&self) -> &'static OwnerOps {
                match self {
                    $(Self::$variant(owner) => owner.ops(),)*
                }
            }

            fn id(&self) -> OwnerId {
                match self {
                    $(Self::$variant(owner) => owner.id(),)*
                }
            }

            fn gate<'a>(&'a self, rcu: &'a Guard) -> Result<AnyGate<'a>, Refusal> {
                match self {
                    $(Self::$variant(owner) => {
                        Ok(AnyGate::$variant { _gate: owner.gate(rcu)? })
                    })*
                }
            }

            fn payer<'a>(&self, rcu: &'a Guard) -> Payer<'a> {
                match self {
                    $(Self::$variant(owner) => owner.payer(rcu),)*
                }
            }

            fn charge(&self, bytes: u32) -> bool {
                match self {
                    $(Self::$variant(owner) => owner.charge(bytes),)*
                }
            }
        }

        /// The hooks of all kinds that this kernel can serve, attached until it is dropped. Both
        /// may sleep.
        pub(crate) struct AllHooks {
            $($module: Option<$module::Hooks>,)*
        }

        impl AllHooks {
            /// Attaches what can be attached, and has it prove itself; says so of what cannot.
            pub(crate) fn attach(mute: Mute) -> Self {
                MUTE.store(mute.startup, Relaxed);
                let mut hooks = Self {
                    $($module: serve(&$module::OPS, stringify!($module), Hooks::attach()),)*
                };
                hooks.run_startup_test();
                MUTE.store(mute.later, Relaxed);
                hooks
            }

            /// Whether there is no backstop that was never called.
            fn backstops_called(&mut self) -> bool {
                true $(&& self.$module.as_mut().is_none_or(|hooks| hooks.backstop().is_none_or(is_called)))*
            }

            /// Gives up what `findings` are against.
            fn judge(&mut self, findings: &Findings) {
                $(
                    if let Some(hooks) = &mut self.$module {
                        judge(&$module::OPS, stringify!($module), hooks, findings);
                    }
                )*
            }
        }

        impl Drop for AllHooks {
            fn drop(&mut self) {
                SERVED.store(0, Relaxed);
                $(drop(self.$module.take());)*
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

/// Bits `1 << number` of the kinds whose notices of death are lost, for tests.
pub(crate) struct Mute {
    /// While the module is loaded and its hooks prove themselves.
    pub(crate) startup: u32,
    /// From then on.
    pub(crate) later: u32,
}

impl AllHooks {
    /// Makes and ends an object of each kind, and gives up the kinds whose hooks did not tell.
    fn run_startup_test(&mut self) {
        match startup_test::run(&mut || self.backstops_called()) {
            Ok(findings) => {
                self.judge(&findings);
                self.judge_copies(&findings.copies);
            }
            Err(err) => pr_notice!("no proof that the hooks are called ({err:?})\n"),
        }
    }

    fn judge_copies(&mut self, finding: &Finding) {
        let Some(hooks) = self.socket.as_mut().filter(|_| socket::clones()) else {
            return;
        };
        match finding {
            Finding::Called => {}
            Finding::Silent => {
                pr_warn!("bpf_sk_storage_clone() or tcp_ca_openreq_child() did not tell of an accepted socket: no copies\n");
                hooks.detach_clone();
            }
            Finding::Unknown(err) => {
                pr_notice!("no proof that accepted sockets get copies ({err:?})\n");
            }
        }
    }
}

fn serve<H>(ops: &OwnerOps, name: &str, hooks: Result<H>) -> Option<H> {
    match hooks {
        Ok(hooks) => {
            REFUSED[ops.kind as usize].store(0, Relaxed);
            SERVED.add(1 << ops.kind, Relaxed);
            Some(hooks)
        }
        Err(err) => {
            refuse(ops, EOPNOTSUPP);
            pr_warn!("this kernel cannot tell of the end of a {name}: no such owners ({err:?})\n");
            None
        }
    }
}

fn refuse(ops: &OwnerOps, why: Error) {
    REFUSED[ops.kind as usize].store(why.to_errno().unsigned_abs(), Relaxed);
}

/// Whether it was, if it is attached.
fn is_called(hook: &mut Option<FtraceHook>) -> bool {
    hook.as_ref().is_none_or(FtraceHook::was_called)
}

fn judge<H: Hooks>(ops: &OwnerOps, name: &str, hooks: &mut H, findings: &Findings) {
    match &findings.kinds[ops.kind as usize] {
        Finding::Called => {}
        Finding::Silent => {
            SERVED.fetch_sub(1 << ops.kind, Relaxed);
            refuse(ops, ENODATA);
            let notice = H::NOTICE;
            pr_warn!("{notice} did not tell of the end of a {name}: no such owners\n");
            return hooks.detach();
        }
        Finding::Unknown(err) => {
            pr_notice!("no proof that the end of a {name} is told of ({err:?})\n");
            return;
        }
    }
    if let Some(backstop) = hooks.backstop() {
        if !is_called(backstop) {
            if let Some(function) = backstop.as_ref().map(FtraceHook::function) {
                pr_warn!("{function:?} did not tell of the end of a {name}: no backstop\n");
            }
            FtraceHook::detach_or_pin(backstop);
        }
    }
}

/// A hook that a kind can do without; says so if it must.
pub(super) fn optional<H>(what: &str, hook: Result<H>) -> Option<H> {
    if let Err(err) = &hook {
        pr_info!("no {what} on this kernel ({err:?})\n");
    }
    hook.ok()
}

/// By number: 0, or the errno value that says why the kind is not served.
pub(crate) fn refused() -> [u8; NUMBERS] {
    core::array::from_fn(|number| REFUSED[number].load(Relaxed) as u8)
}

/// Notes that a first notice of death has found an owner with values.
pub(super) fn noticed(ops: &OwnerOps) {
    let Some(noticed) = NOTICED.get(ops.kind as usize) else {
        return;
    };
    if !noticed.load(Relaxed) {
        noticed.store(true, Relaxed);
    }
}

/// Whether that has happened.
pub(super) fn was_noticed(ops: &OwnerOps) -> bool {
    NOTICED[ops.kind as usize].load(Relaxed)
}

/// Bit `1 << number` for each kind that is served.
pub(crate) fn served() -> u32 {
    SERVED.load(Relaxed)
}

/// Refuses owners of a kind that is not served.
pub(crate) fn check_served(ops: &OwnerOps) -> Result<(), Refusal> {
    if served() & 1 << ops.kind == 0 {
        return Err(Refusal::Unsupported);
    }
    Ok(())
}

/// The gate of a kind whose owners an RCU read section keeps that saw them alive.
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

/// Whether the kind's notices of death are to be lost: never, but in the test flavour.
pub(super) fn is_mute(ops: &OwnerOps) -> bool {
    cfg!(OSTOR_TEST) && (MUTE.load(Relaxed) & 1 << ops.kind != 0 || fault::skip(Site::DeathNotice))
}

/// What the notice of death of a kind without a charge does.
///
/// # Safety
///
/// As [`Runtime::owner_died`].
pub(crate) unsafe fn death_notice(ops: &OwnerOps, id: OwnerId) {
    if is_mute(ops) {
        return;
    }
    if let Some(runtime) = Runtime::get() {
        // SAFETY: By the contract.
        if unsafe { runtime.owner_died(id) } {
            noticed(ops);
        }
    }
}

/// What a second notice of death does: what the first one has done, else it counts the loss.
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
    // SAFETY: By the contract.
    if unsafe { runtime.owner_died(id) } {
        runtime.stats.late_free.add(1);
    }
}
