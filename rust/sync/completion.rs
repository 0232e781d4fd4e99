// SPDX-License-Identifier: GPL-2.0

//! A completion with a killable wait, which the kernel crate's lacks.
//!
//! C header: [`include/linux/completion.h`](srctree/include/linux/completion.h)

use kernel::{
    bindings,
    prelude::*,
    types::Opaque, //
};

/// A `struct completion`.
///
/// # Invariants
///
/// `inner` is initialised, and pinned.
#[pin_data]
pub(crate) struct Completion {
    #[pin]
    inner: Opaque<bindings::completion>,
}

// SAFETY: The functions of a completion may be called by any thread.
unsafe impl Send for Completion {}
// SAFETY: As above.
unsafe impl Sync for Completion {}

impl Completion {
    /// A completion that is not complete.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            inner <- Opaque::ffi_init(|slot| {
                // INVARIANT: Initialised here.
                //
                // SAFETY: `slot` is valid for writes of a completion.
                unsafe { bindings::init_completion(slot) }
            }),
        })
    }

    /// Completes it. It stays complete.
    pub(crate) fn complete_all(&self) {
        // SAFETY: Initialised by the type invariant.
        unsafe { bindings::complete_all(self.inner.get()) };
    }

    /// Waits until it is complete. May sleep.
    pub(crate) fn wait_for_completion(&self) {
        // SAFETY: Initialised by the type invariant.
        unsafe { bindings::wait_for_completion(self.inner.get()) };
    }

    /// Waits until it is complete, or until the calling task is killed. Returns whether it is
    /// complete. May sleep.
    pub(crate) fn wait_unless_killed(&self) -> bool {
        // SAFETY: Initialised by the type invariant.
        unsafe { bindings::wait_for_completion_killable(self.inner.get()) == 0 }
    }
}
