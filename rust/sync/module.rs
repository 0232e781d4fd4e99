// SPDX-License-Identifier: GPL-2.0

//! The unloading of this module, and of others.

use super::deferred;
use crate::shim;
use core::{
    ffi::CStr,
    marker::PhantomData,
    ptr, //
};
use kernel::{
    bindings,
    error::to_result,
    prelude::*,
    types::Opaque, //
};

/// Its drop waits until there is no reference to the module. May sleep.
///
/// Each open file holds a reference, which `fput()` puts after the file's `release()` has returned.
/// The kernel refuses a normal `rmmod` while there is one, but not `rmmod -f`. No reference can be
/// taken while a module unloads, so the number only falls.
///
/// It must not be dropped while the module is initialised, since the loader holds a reference then.
pub(crate) struct WaitForUsers;

impl Drop for WaitForUsers {
    fn drop(&mut self) {
        let mut is_logged = false;
        loop {
            // SAFETY: An FFI call with no requirement.
            let users = unsafe { shim::ostor_module_users() };
            if users <= 0 {
                return;
            }
            if !is_logged {
                pr_notice!("unloading waits for the close of {users} open files\n");
                is_logged = true;
            }
            deferred::sleep_10ms();
        }
    }
}

/// What is done when another module goes.
pub(crate) trait Going {
    /// The exit function of the module has returned, or its initialisation has failed. Its memory
    /// is freed after this returns. May sleep.
    fn going(module: &ThisModule, name: &CStr);
}

/// Has the loader call `T::going()` for each module that goes, until it is dropped. The drop may
/// sleep.
///
/// # Invariants
///
/// `block` is registered, and pinned.
#[pin_data(PinnedDrop)]
pub(crate) struct GoingNotifier<T: Going> {
    #[pin]
    block: Opaque<bindings::notifier_block>,
    _going: PhantomData<T>,
}

// SAFETY: A reference gives no access to the block.
unsafe impl<T: Going> Sync for GoingNotifier<T> {}
// SAFETY: Any thread may take the block off the list.
unsafe impl<T: Going> Send for GoingNotifier<T> {}

impl<T: Going> GoingNotifier<T> {
    /// Registers it. May sleep.
    pub(crate) fn register() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            block <- Opaque::try_ffi_init(|slot: *mut bindings::notifier_block| {
                let block = bindings::notifier_block {
                    notifier_call: Some(Self::call),
                    next: ptr::null_mut(),
                    priority: 0,
                };
                // INVARIANT: Registered here; if that fails, there is no object.
                //
                // SAFETY: `slot` is valid for writes and pinned. The drop takes the block off the
                // list.
                to_result(unsafe {
                    slot.write(block);
                    shim::ostor_module_notifier_attach(slot)
                })
            }),
            _going: PhantomData,
        })
    }

    /// # Safety
    ///
    /// `module` must be a module that stays until this returns.
    unsafe extern "C" fn call(
        _block: *mut bindings::notifier_block,
        state: usize,
        module: *mut c_void,
    ) -> c_int {
        if state == bindings::module_state_MODULE_STATE_GOING as usize {
            let module = module.cast();
            // SAFETY: By the safety requirements. The name is a part of the module.
            let name = unsafe { CStr::from_char_ptr(shim::ostor_module_name(module)) };
            // SAFETY: By the safety requirements.
            T::going(&unsafe { ThisModule::from_ptr(module) }, name);
        }
        bindings::NOTIFY_DONE as c_int
    }
}

#[pinned_drop]
impl<T: Going> PinnedDrop for GoingNotifier<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: Registered by the type invariant.
        unsafe { shim::ostor_module_notifier_detach(self.block.get()) };
    }
}
