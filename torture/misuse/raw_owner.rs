// SPDX-License-Identifier: GPL-2.0
// error: E0133

//! An owner by a pointer that may be invalid.

use kernel::{
    bindings,
    sync::rcu::Guard, //
};
use owner_storage::api::{
    Cgroup,
    Map, //
};

/// The value of a cgroup.
///
/// # Safety
///
/// There must be a reference to the cgroup while this runs.
pub unsafe fn get<'a>(
    map: &'a Map<u64>,
    cgroup: *mut bindings::cgroup,
    rcu: &'a Guard,
) -> Option<&'a u64> {
    #[cfg(MISUSE)]
    let cgroup = Cgroup::from_raw(cgroup);
    // SAFETY: By the contract.
    #[cfg(not(MISUSE))]
    let cgroup = unsafe { Cgroup::from_raw(cgroup) };
    map.get(cgroup, rcu)
}
