// SPDX-License-Identifier: GPL-2.0

//! The end of the module that is compiled into this crate.

use super::deferred;
use crate::shim;
use kernel::prelude::*;

/// Waits, when it is dropped, until nothing holds a reference to the module. May sleep.
///
/// An open file holds one, which `fput()` drops after the file's `release()` has returned. A normal
/// `rmmod` is refused as long as there is one; `rmmod -f` is not. No reference can be taken any more
/// when a module unloads, so the number only falls.
///
/// It must not be dropped while the module is being initialised: the loader holds a reference then.
pub(crate) struct WaitForUsers;

impl Drop for WaitForUsers {
    fn drop(&mut self) {
        let mut said = false;
        loop {
            // SAFETY: An FFI call with no requirement.
            let users = unsafe { shim::ostor_module_users() };
            if users <= 0 {
                return;
            }
            if !said {
                pr_notice!("unloading waits for the close of {users} open files\n");
                said = true;
            }
            deferred::sleep_10ms();
        }
    }
}
