// SPDX-License-Identifier: GPL-2.0

//! The two ways to be told of what happens to an object: a probe on a tracepoint of the kernel, and
//! a hook at the entry of one of its functions.

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

/// A probe on a tracepoint, until it is dropped. The drop waits for probes that run; it may sleep.
///
/// A tracepoint calls its probes every time, in whatever context it is passed. Taking a probe off
/// cannot fail: where the kernel has no memory for a shorter list, it puts a stub in its place.
pub(crate) struct TracepointProbe {
    tracepoint: NonNull<bindings::tracepoint>,
    probe: *mut c_void,
}

// SAFETY: Attaching and detaching are not tied to a thread.
unsafe impl Send for TracepointProbe {}
// SAFETY: There is nothing to do with a shared reference.
unsafe impl Sync for TracepointProbe {}

impl TracepointProbe {
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

impl Drop for TracepointProbe {
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
/// It is an `ftrace_ops` of its own, which ftrace calls every time as long as no other one covers
/// the function. Where there are several, ftrace calls them in a loop, and drops a call that is
/// nested in two such loops of one context. See "Lost calls" in `Documentation/owners.rst`.
///
/// After `ftrace_kill()` a hook cannot be detached any more, and may still be called. Then the drop
/// does not return, since it must not free what would be called: the module is on its way out, and
/// nothing else can hold it any more. See [`FtraceHook::detach_or_pin`] for a module that is to stay.
pub(crate) struct FtraceHook {
    hook: NonNull<c_void>,
    function: &'static CStr,
}

// SAFETY: As for `TracepointProbe`.
unsafe impl Send for FtraceHook {}
// SAFETY: As for `TracepointProbe`.
unsafe impl Sync for FtraceHook {}

impl FtraceHook {
    /// Seconds between two attempts to detach a hook.
    const RETRY: u32 = 1;

    /// Has `hook` called with the first two arguments of `function`. May sleep. Fails if this
    /// kernel does not have the function, or no ftrace.
    ///
    /// # Safety
    ///
    /// `hook` must be sound to call with the arguments of that function, where it is called.
    pub(crate) unsafe fn attach(
        function: &'static CStr,
        hook: unsafe extern "C" fn(usize, usize),
    ) -> Result<Self> {
        let name = function.as_char_ptr();
        // SAFETY: A string, which the function does not keep, and a hook that is as it says.
        let hook = from_err_ptr(unsafe { shim::ostor_ftrace_hook_attach(name, Some(hook)) })?;
        let hook = NonNull::new(hook).ok_or(EOPNOTSUPP)?;
        Ok(Self { hook, function })
    }

    /// The function.
    pub(super) fn function(&self) -> &'static CStr {
        self.function
    }

    /// Whether it was ever called.
    pub(super) fn was_called(&self) -> bool {
        // SAFETY: Attached by `attach`.
        unsafe { shim::ostor_ftrace_hook_called(self.hook.as_ptr()) }
    }

    /// Detaches the hook in `slot`, which the module does without. If that fails, the hook stays
    /// there and pins the module. May sleep. Not while the module ends.
    pub(super) fn detach_or_pin(slot: &mut Option<Self>) {
        let Some(entry) = slot.take() else {
            return;
        };
        match entry.try_detach() {
            Ok(()) => mem::forget(entry),
            Err(err) => {
                let function = entry.function;
                pr_warn!("cannot detach from {function:?} ({err:?}): no unload before a reboot\n");
                // SAFETY: An FFI call with no requirement.
                unsafe { shim::ostor_module_pin() };
                *slot = Some(entry);
            }
        }
    }

    /// When it has succeeded, the hook is gone.
    fn try_detach(&self) -> Result {
        if fault::skip(Site::HookDetach) {
            return Err(ENODEV);
        }
        // SAFETY: Attached by `attach`.
        to_result(unsafe { shim::ostor_ftrace_hook_detach(self.hook.as_ptr()) })
    }
}

impl Drop for FtraceHook {
    fn drop(&mut self) {
        let mut is_said = false;
        while let Err(err) = self.try_detach() {
            if !is_said {
                let function = self.function;
                pr_warn!("cannot detach from {function:?} ({err:?}): unloading waits, for a reboot if ftrace is dead\n");
                is_said = true;
            }
            // SAFETY: An FFI call in task context with no lock held.
            unsafe { shim::ostor_sleep_idle(Self::RETRY) };
        }
    }
}

/// A hook for memory that is freed where ftrace drops calls, until it is dropped. The drop waits for
/// hooks that run; it may sleep.
///
/// Two probes on tracepoints of the allocator, which every free passes; what is freed elsewhere
/// costs a look at one word of the task. So they are attached only after [`FreeHook::request`].
pub(super) struct FreeHook(());

impl FreeHook {
    /// Will have `hook` called with the address of the memory. There is one at a time.
    ///
    /// # Safety
    ///
    /// `hook` must be sound to call wherever memory is freed, with the address of what is freed
    /// when it returns.
    pub(super) unsafe fn prepare(hook: unsafe extern "C" fn(usize)) -> Self {
        // SAFETY: A hook that is as it says.
        unsafe { shim::ostor_free_hook_prepare(Some(hook)) };
        Self(())
    }

    /// Has the probes attached by a kworker, which says in the log that it did. Any context, while
    /// there is a hook; once.
    pub(super) fn request() {
        // SAFETY: An FFI call with no requirement.
        unsafe { shim::ostor_free_hook_request() };
    }

    /// Waits until that is done. May sleep.
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
