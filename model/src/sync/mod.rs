// SPDX-License-Identifier: GPL-2.0

//! Stands in for `rust/sync/`, with its names.

pub(crate) mod age;
mod cell;
#[path = "../../../rust/sync/chain.rs"]
pub(crate) mod chain;
pub(crate) mod clock;
pub(crate) mod completion;
pub(crate) mod counter;
pub(crate) mod deferred;
pub(crate) mod fault;
#[path = "../../../rust/sync/hlist.rs"]
pub(crate) mod hlist;
pub(crate) mod irq;
#[path = "../../../rust/sync/llist.rs"]
pub(crate) mod llist;
pub(crate) mod nolock;
pub(crate) mod per_cpu;
pub(crate) mod rcu;
pub(crate) mod res_lock;
pub(crate) mod trace;

pub(crate) mod compat {
    pub(crate) use kernel::{
        prelude::EOPNOTSUPP,
        sync::barrier, //
    };
}

pub(crate) use cell::Cell;
pub(crate) use completion::Completion;
pub(crate) use kernel::sync::atomic::{
    Acquire,
    Atomic,
    Full,
    Relaxed,
    Release, //
};

/// The same reference.
pub(crate) fn opaque<T>(object: &T) -> &T {
    object
}

/// Lets another CPU run, for which this one waits.
pub(crate) fn cpu_relax() {
    machine::pause();
}
