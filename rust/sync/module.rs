// SPDX-License-Identifier: GPL-2.0

//! The unloading of this module.

use super::deferred;
use crate::shim;
use kernel::prelude::*;

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
