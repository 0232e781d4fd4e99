// SPDX-License-Identifier: GPL-2.0

//! Writing to user space where a page fault cannot be waited for.

use kernel::{
    bindings,
    prelude::*,
    uaccess::UserPtr, //
};

/// Writes `bytes` to the calling process at `ptr` without sleeping, in task context. Fails with
/// `EFAULT` if a page is not there or not writable right now; some bytes may be written then.
pub(crate) fn write_nofault(ptr: UserPtr, bytes: &[u8]) -> Result {
    // SAFETY: `bytes` is valid for its length; the other address is checked.
    let left = unsafe {
        bindings::copy_to_user_nofault(ptr.as_mut_ptr(), bytes.as_ptr().cast(), bytes.len())
    };
    if left == 0 {
        Ok(())
    } else {
        Err(EFAULT)
    }
}
