// SPDX-License-Identifier: GPL-2.0

//! Writes to user space that do not wait for a page fault.

use kernel::{
    bindings,
    prelude::*,
    uaccess::UserPtr, //
};

/// Writes `bytes` to the calling process at `ptr`. Does not sleep. Fails with `EFAULT` if a page is
/// not present or not writable at the moment; some bytes may be written then. Task context.
pub(crate) fn write_nofault(ptr: UserPtr, bytes: &[u8]) -> Result {
    // SAFETY: `bytes` is valid for reads of its length. The function checks the user address.
    let left = unsafe {
        bindings::copy_to_user_nofault(ptr.as_mut_ptr(), bytes.as_ptr().cast(), bytes.len())
    };
    if left == 0 {
        Ok(())
    } else {
        Err(EFAULT)
    }
}
