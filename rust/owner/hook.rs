// SPDX-License-Identifier: GPL-2.0

//! Hooks on what happens to an object: probes on the kernel's tracepoints, ftrace hooks at the
//! entry of its functions, and a hook of freed memory.

use crate::{
    shim,
    sync::{
        compat::EOPNOTSUPP,
        fault::{
            self,
            Site, //
        }, //
    }, //
};
use core::{
    ffi::CStr,
    mem,
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

/// A probe on a tracepoint of the kernel, until it is dropped. The drop waits for running probes,
/// and may sleep.
///
/// A tracepoint calls its probes each time, in any context that passes it. Unregistering a probe
/// cannot fail: if the kernel has no memory for a shorter list, it puts a stub in the probe's
/// place.
///
/// # Invariants
///
/// `probe` is registered on `tracepoint`, which is one of the kernel itself and is never freed.
pub(crate) struct TracepointProbe {
    tracepoint: NonNull<bindings::tracepoint>,
    probe: *mut c_void,
}

// SAFETY: Any thread may register and unregister a probe.
unsafe impl Send for TracepointProbe {}
// SAFETY: A shared reference gives access to nothing.
unsafe impl Sync for TracepointProbe {}

impl TracepointProbe {
    /// Registers `probe` on the kernel's tracepoint `name`. May sleep. Fails with `EOPNOTSUPP` if
    /// this kernel does not have it.
    ///
    /// # Safety
    ///
    /// `probe` must be a function with the prototype of the tracepoint's probes, whose first
    /// argument is a null pointer, and sound to call wherever the kernel passes the tracepoint.
    pub(crate) unsafe fn attach(name: &CStr, probe: *mut c_void) -> Result<Self> {
        // SAFETY: `name` is a string. The function does not keep it.
        let tracepoint = unsafe { shim::ostor_tracepoint_find(name.as_char_ptr()) };
        let tracepoint = NonNull::new(tracepoint).ok_or(EOPNOTSUPP)?;
        // SAFETY: A tracepoint of the kernel itself is never freed. The contract says that the
        // probe may be called.
        to_result(unsafe {
            bindings::tracepoint_probe_register(tracepoint.as_ptr(), probe, ptr::null_mut())
        })?;
        // INVARIANT: Registered above.
        Ok(Self { tracepoint, probe })
    }
}

impl Drop for TracepointProbe {
    fn drop(&mut self) {
        let tracepoint = self.tracepoint.as_ptr();
        // SAFETY: Registered by the type invariant.
        unsafe { bindings::tracepoint_probe_unregister(tracepoint, self.probe, ptr::null_mut()) };
        // SAFETY: An FFI call with no requirement. It waits for running probes.
        unsafe { shim::ostor_tracepoint_sync() };
    }
}

/// An `ftrace_ops` at the entry of a function of the kernel, until it is dropped. The drop waits
/// for running hooks, and may sleep.
///
/// ftrace calls it each time as long as no other `ftrace_ops` covers the function. If there are
/// several, ftrace calls them in a loop, and drops a call that is nested in two such loops of one
/// context. See "Lost calls" in `Documentation/owners.rst`.
///
/// After `ftrace_kill()` a hook cannot be detached, and may still be called. Then the drop does not
/// return: the module is unloading, so that nothing else can keep the hook's code and memory. While
/// the module stays loaded, use [`FtraceHook::detach_or_pin`].
///
/// # Invariants
///
/// `hook` was returned by `ostor_ftrace_hook_attach()`, and is attached.
pub(crate) struct FtraceHook {
    hook: NonNull<c_void>,
    function: &'static CStr,
}

// SAFETY: As above for `TracepointProbe`.
unsafe impl Send for FtraceHook {}
// SAFETY: As above for `TracepointProbe`.
unsafe impl Sync for FtraceHook {}

impl FtraceHook {
    /// Seconds between two attempts to detach a hook.
    const RETRY: u32 = 1;

    /// Has ftrace call `hook` with the first two arguments of each call of `function`. May sleep.
    /// Fails if this kernel has no such function, or no ftrace.
    ///
    /// # Safety
    ///
    /// `hook` must be sound to call with these arguments, wherever the kernel calls the function.
    pub(crate) unsafe fn attach(
        function: &'static CStr,
        hook: unsafe extern "C" fn(usize, usize),
    ) -> Result<Self> {
        let name = function.as_char_ptr();
        // SAFETY: `name` is a string, which the function does not keep. The contract says that the
        // hook may be called.
        let hook = from_err_ptr(unsafe { shim::ostor_ftrace_hook_attach(name, Some(hook)) })?;
        let hook = NonNull::new(hook).ok_or(EOPNOTSUPP)?;
        // INVARIANT: Attached above.
        Ok(Self { hook, function })
    }

    /// The name of the function.
    pub(super) fn function(&self) -> &'static CStr {
        self.function
    }

    /// Whether the hook was ever called.
    pub(super) fn was_called(&self) -> bool {
        // SAFETY: Attached by the type invariant.
        unsafe { shim::ostor_ftrace_hook_called(self.hook.as_ptr()) }
    }

    /// Detaches the hook in `slot`, without which the module goes on. If that fails, the hook stays
    /// there, and the module is pinned. May sleep. Not while the module unloads.
    pub(super) fn detach_or_pin(slot: &mut Option<Self>) {
        let Some(hook) = slot.take() else {
            return;
        };
        match hook.try_detach() {
            Ok(()) => mem::forget(hook),
            Err(err) => {
                let function = hook.function;
                pr_warn!(
                    "cannot detach from {function:?} ({err:?}): no unloading before a reboot\n"
                );
                // SAFETY: An FFI call with no requirement.
                unsafe { shim::ostor_module_pin() };
                *slot = Some(hook);
            }
        }
    }

    /// If it succeeds, the hook is freed: the caller must forget `self`.
    fn try_detach(&self) -> Result {
        if fault::skip(Site::HookDetach) {
            return Err(ENODEV);
        }
        // SAFETY: Attached by the type invariant.
        to_result(unsafe { shim::ostor_ftrace_hook_detach(self.hook.as_ptr()) })
    }
}

impl Drop for FtraceHook {
    fn drop(&mut self) {
        let mut is_logged = false;
        while let Err(err) = self.try_detach() {
            if !is_logged {
                let function = self.function;
                pr_warn!("cannot detach from {function:?} ({err:?}): unloading waits, for a reboot if ftrace is dead\n");
                is_logged = true;
            }
            // SAFETY: An FFI call in task context with no lock held.
            unsafe { shim::ostor_sleep_idle(Self::RETRY) };
        }
    }
}

/// A hook of memory that is freed where ftrace drops calls, until it is dropped. The drop waits for
/// running hooks, and may sleep.
///
/// It is two probes on tracepoints of the allocator, which each free passes. Where ftrace drops no
/// calls, they only read a word of the task. So they are attached no earlier than
/// [`FreeHook::request`].
pub(super) struct FreeHook(());

impl FreeHook {
    /// Sets the function that the probes call with the address of the memory. There is one at a
    /// time.
    ///
    /// # Safety
    ///
    /// `hook` must be sound to call wherever the kernel frees memory, with the address of memory
    /// that is freed after `hook` has returned.
    pub(super) unsafe fn prepare(hook: unsafe extern "C" fn(usize)) -> Self {
        // SAFETY: The contract says that the hook may be called.
        unsafe { shim::ostor_free_hook_prepare(Some(hook)) };
        Self(())
    }

    /// Has a kworker attach the probes and log that. Any context. Called once, while there is a
    /// `FreeHook`.
    pub(super) fn request() {
        // SAFETY: An FFI call with no requirement.
        unsafe { shim::ostor_free_hook_request() };
    }

    /// Waits until the kworker has done what [`FreeHook::request`] asked for. May sleep.
    #[cfg(OSTOR_TEST)]
    pub(super) fn wait() {
        // SAFETY: An FFI call with no requirement but that it may sleep.
        unsafe { shim::ostor_free_hook_wait() };
    }
}

impl Drop for FreeHook {
    fn drop(&mut self) {
        // SAFETY: An FFI call with no requirement but that it may sleep.
        unsafe { shim::ostor_free_hook_end() };
    }
}
