// SPDX-License-Identifier: GPL-2.0

//! A completion that can be waited for until one is killed, which the kernel crate's cannot.
//!
//! C header: [`include/linux/completion.h`](srctree/include/linux/completion.h)

use kernel::{
    bindings,
    prelude::*,
    types::Opaque, //
};

/// What somebody waits for until somebody else completes it.
#[pin_data]
pub(crate) struct Completion {
    #[pin]
    inner: Opaque<bindings::completion>,
}

// SAFETY: A completion is made to be shared.
unsafe impl Send for Completion {}
// SAFETY: As above.
unsafe impl Sync for Completion {}

impl Completion {
    /// One that is not complete.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            inner <- Opaque::ffi_init(|slot| {
                // SAFETY: `slot` is memory for a completion.
                unsafe { bindings::init_completion(slot) }
            }),
        })
    }

    /// Completes it, for good.
    pub(crate) fn complete_all(&self) {
        // SAFETY: Initialised and pinned.
        unsafe { bindings::complete_all(self.inner.get()) };
    }

    /// Waits until it is complete. May sleep.
    pub(crate) fn wait_for_completion(&self) {
        // SAFETY: Initialised and pinned.
        unsafe { bindings::wait_for_completion(self.inner.get()) };
    }

    /// Waits until it is complete, and returns whether it is: a task that is killed does not wait
    /// on. May sleep.
    pub(crate) fn wait_unless_killed(&self) -> bool {
        // SAFETY: Initialised and pinned.
        unsafe { bindings::wait_for_completion_killable(self.inner.get()) == 0 }
    }
}
