// SPDX-License-Identifier: GPL-2.0

//! The two ways to be told of what happens to an object: a probe on a tracepoint of the kernel, and
//! a hook at the entry of one of its functions.

use crate::shim;
use core::{
    ffi::CStr,
    ptr::{
        self,
        NonNull, //
    }, //
};
use kernel::{
    bindings,
    error::{
        from_err_ptr,
        to_result, //
    },
    ffi::c_void,
    prelude::*,
    str::CStrExt, //
};

/// A probe on a tracepoint, until it is dropped. The drop waits for probes that run; it may sleep.
///
/// A tracepoint calls its probes every time, in whatever context it is passed.
pub(crate) struct Tracepoint {
    tracepoint: NonNull<bindings::tracepoint>,
    probe: *mut c_void,
}

// SAFETY: Attaching and detaching are not tied to a thread.
unsafe impl Send for Tracepoint {}
// SAFETY: There is nothing to do with a shared reference.
unsafe impl Sync for Tracepoint {}

impl Tracepoint {
    /// Attaches `probe` to the kernel's own tracepoint `name`. May sleep. Fails with `EOPNOTSUPP`
    /// if this kernel does not have it.
    ///
    /// # Safety
    ///
    /// `probe` must be a function of the tracepoint's prototype, with a null pointer as its first
    /// argument, and sound to call where the tracepoint is passed.
    pub(crate) unsafe fn attach(name: &CStr, probe: *mut c_void) -> Result<Self> {
        // SAFETY: A string, which the function does not keep.
        let tracepoint = unsafe { shim::ostor_tracepoint_find(name.as_char_ptr()) };
        let tracepoint = NonNull::new(tracepoint).ok_or(EOPNOTSUPP)?;
        // SAFETY: A tracepoint of the kernel itself stays, and the probe is as it says.
        to_result(unsafe {
            bindings::tracepoint_probe_register(tracepoint.as_ptr(), probe, ptr::null_mut())
        })?;
        Ok(Self { tracepoint, probe })
    }
}

impl Drop for Tracepoint {
    fn drop(&mut self) {
        let tracepoint = self.tracepoint.as_ptr();
        // SAFETY: Registered by `attach`.
        unsafe { bindings::tracepoint_probe_unregister(tracepoint, self.probe, ptr::null_mut()) };
        // SAFETY: An FFI call with no requirement; no probe runs after it.
        unsafe { shim::ostor_tracepoint_sync() };
    }
}

/// A hook at the entry of a function, until it is dropped. The drop waits for hooks that run; it
/// may sleep.
///
/// It is an `ftrace_ops` of its own that is called every time, by nested calls too: no filter, no
/// recursion check and no `sysctl` come in between.
pub(crate) struct Entry(NonNull<c_void>);

// SAFETY: As for `Tracepoint`.
unsafe impl Send for Entry {}
// SAFETY: As for `Tracepoint`.
unsafe impl Sync for Entry {}

impl Entry {
    /// Has `hook` called with the first two arguments of `function`. May sleep. Fails if this
    /// kernel does not have the function, or no ftrace.
    ///
    /// # Safety
    ///
    /// `hook` must be sound to call with the arguments of that function, where it is called.
    pub(crate) unsafe fn attach(
        function: &CStr,
        hook: unsafe extern "C" fn(usize, usize),
    ) -> Result<Self> {
        let function = function.as_char_ptr();
        // SAFETY: A string, which the function does not keep, and a hook that is as it says.
        let hook = from_err_ptr(unsafe { shim::ostor_entry_hook_attach(function, Some(hook)) })?;
        Ok(Self(NonNull::new(hook).ok_or(EOPNOTSUPP)?))
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        // SAFETY: Attached by `attach`.
        unsafe { shim::ostor_entry_hook_detach(self.0.as_ptr()) };
    }
}
