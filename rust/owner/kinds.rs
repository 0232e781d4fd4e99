// SPDX-License-Identifier: GPL-2.0

//! The table of kinds. A new kind of owners is a file and a row here.
//!
//! The file has a type that implements [`Owner`], a static `KIND`, and a type `Hooks` whose
//! `attach()` arranges for the notice of death; see `Documentation/owners.rst`.

use super::{
    cgroup,
    netns,
    socket,
    task, //
};
use crate::{
    storage::{
        error::Refusal,
        owner::{
            Kind,
            Owner,
            OwnerId, //
        },
        runtime::Runtime, //
    },
    sync::{
        fault::{
            self,
            Point, //
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

/// Bit `1 << number` for each kind whose hooks are attached.
static SERVED: Atomic<u32> = Atomic::new(0);

/// Bit `1 << number` for each kind whose notices of death are lost, for tests.
static MUTE: Atomic<u32> = Atomic::new(0);

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

            fn kind(&self) -> &'static Kind {
                match self {
                    $(Self::$variant(owner) => owner.kind(),)*
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
            /// Attaches what can be attached; says so of what cannot.
            pub(crate) fn attach(mute: u32) -> Self {
                MUTE.store(mute, Relaxed);
                Self {
                    $($module: serve(&$module::KIND, stringify!($module), $module::Hooks::attach()),)*
                }
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

fn serve<H>(kind: &Kind, name: &str, hooks: Result<H>) -> Option<H> {
    match hooks {
        Ok(hooks) => {
            SERVED.add(1 << kind.number, Relaxed);
            Some(hooks)
        }
        Err(err) => {
            pr_warn!("this kernel cannot tell of the end of a {name}: no such owners ({err:?})\n");
            None
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

/// Bit `1 << number` for each kind that is served.
pub(crate) fn served() -> u32 {
    SERVED.load(Relaxed)
}

/// Refuses owners of a kind that is not served.
pub(crate) fn check_served(kind: &Kind) -> Result<(), Refusal> {
    if served() & 1 << kind.number == 0 {
        return Err(Refusal::Unsupported);
    }
    Ok(())
}

/// The gate of a kind whose owners an RCU read section keeps that saw them alive.
pub(super) fn rcu_gate<'a>(
    kind: &Kind,
    is_alive: impl FnOnce() -> bool,
    rcu: &'a Guard,
) -> Result<&'a Guard, Refusal> {
    check_served(kind)?;
    if is_alive() {
        Ok(rcu)
    } else {
        Err(Refusal::OwnerDead)
    }
}

/// Whether the kind's notices of death are to be lost: never, but in the test flavour.
pub(super) fn is_mute(kind: &Kind) -> bool {
    cfg!(OSTOR_TEST)
        && (MUTE.load(Relaxed) & 1 << kind.number != 0 || fault::skip(Point::DeathNotice))
}

/// What the notice of death of a kind without a charge does.
///
/// # Safety
///
/// As [`Runtime::owner_died`].
pub(crate) unsafe fn died(kind: &Kind, id: OwnerId) {
    if is_mute(kind) {
        return;
    }
    if let Some(runtime) = Runtime::get() {
        // SAFETY: By the contract.
        unsafe { runtime.owner_died(id) };
    }
}

/// What a second notice of death does: what the first one has done, else it counts the loss.
///
/// # Safety
///
/// As [`Runtime::owner_died`].
pub(crate) unsafe fn died_unnoticed(id: OwnerId) {
    if fault::skip(Point::Backstop) {
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
