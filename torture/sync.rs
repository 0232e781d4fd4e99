// SPDX-License-Identifier: GPL-2.0

//! What the torture module shares with `rust/sync` as source, under the same names: no module
//! exports it.

#[allow(dead_code, reason = "owner_storage uses the rest")]
#[path = "../rust/sync/clock.rs"]
pub(crate) mod clock;
#[allow(dead_code, unused_imports, reason = "owner_storage uses the rest")]
#[path = "../rust/sync/compat.rs"]
pub(crate) mod compat;
#[allow(dead_code, reason = "owner_storage uses the rest")]
#[path = "../rust/sync/completion.rs"]
mod completion;
#[allow(dead_code, reason = "owner_storage uses the rest")]
#[path = "../rust/sync/counter.rs"]
pub(crate) mod counter;
#[path = "../rust/sync/irq.rs"]
pub(crate) mod irq;

/// The tracepoints.
pub(crate) mod trace {
    pub(crate) use owner_storage::api::Event;
}

pub(crate) use completion::Completion;

pub(crate) use kernel::sync::atomic::{
    Acquire,
    Atomic,
    Relaxed,
    Release, //
};

pub(crate) use kernel::processor::cpu_relax;

use kernel::ThisModule;

/// This module.
pub(crate) fn this_module() -> &'static ThisModule {
    #[cfg(not(OSTOR_LINUX_7_2))]
    return kernel::module::this_module::<crate::Torture>();
    #[cfg(OSTOR_LINUX_7_2)]
    return &crate::THIS_MODULE;
}

/// Lets other tasks run, if one wants to. Task context.
pub(crate) fn cond_resched() {
    // SAFETY: An FFI call with no requirement in task context.
    unsafe { crate::shim::ostor_cond_resched() };
}
