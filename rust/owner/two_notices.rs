// SPDX-License-Identifier: GPL-2.0

//! The hooks of a kind whose first notice of death is a tracepoint, and whose second one is the
//! entry of a function.

use super::{
    hook::{
        FtraceHook,
        TracepointProbe, //
    },
    kinds, //
};
use core::ffi::CStr;
use kernel::{
    ffi::c_void,
    prelude::*, //
};

/// Attached until it is dropped. Attach and drop may sleep.
pub(super) struct TwoNotices {
    tracepoint: &'static CStr,
    first: Option<TracepointProbe>,
    second: Option<FtraceHook>,
}

impl TwoNotices {
    /// Attaches `probe` to the tracepoint, and `hook` to the function. Fails if the first is not to
    /// be had. Does without the second, and logs that as the lack of `second`.
    ///
    /// # Safety
    ///
    /// As for [`TracepointProbe::attach`] and [`FtraceHook::attach`].
    #[inline(never)]
    pub(super) unsafe fn attach(
        tracepoint: &'static CStr,
        probe: *mut c_void,
        function: &'static CStr,
        hook: unsafe extern "C" fn(usize, usize),
        second: &str,
    ) -> Result<Self> {
        // SAFETY: By the contract.
        let probe = unsafe { TracepointProbe::attach(tracepoint, probe) }?;
        // SAFETY: By the contract.
        let hook = unsafe { FtraceHook::attach(function, hook) };
        Ok(Self {
            tracepoint,
            first: Some(probe),
            second: kinds::optional(second, hook),
        })
    }
}

impl kinds::Hooks for TwoNotices {
    fn notice(&self) -> &'static CStr {
        self.tracepoint
    }

    fn detach(&mut self) {
        self.first = None;
        FtraceHook::detach_or_pin(&mut self.second);
    }

    fn backstop(&mut self) -> Option<&mut Option<FtraceHook>> {
        Some(&mut self.second)
    }
}
