// SPDX-License-Identifier: GPL-2.0

//! Cgroups as owners, of version 2 and of every version 1 hierarchy.
//!
//! A cgroup is dying from its removal on, and is released when its last reference goes: a process
//! that has not left, a socket that was created in it. Until then its values can be found. The
//! notice of death is the tracepoint `cgroup_release`; the memory goes a grace period later.
//!
//! The gate is an RCU read section that saw the cgroup not dying. Removal marks the cgroup with
//! `percpu_ref_kill()`, and only a grace period after that the reference goes which every cgroup
//! has to itself; so whoever saw no mark is done before the release. A reference taken over the
//! link, which would do as well, might be the last one to be put, and a release queues work: that
//! is nothing to do in an NMI.
//!
//! The backstop is the entry of `bpf_cgrp_storage_free()`, which the kernel calls just before the
//! memory goes. And there is a stamp: cgroups are numbered, through all hierarchies.

use super::{
    hook::{
        FtraceHook,
        TracepointProbe, //
    },
    kinds,
    object::object, //
};
use crate::{
    shim,
    storage::{
        error::Refusal,
        owner::{
            Owner,
            OwnerId,
            OwnerOps, //
        }, //
    },
    sync::{
        nolock::Payer,
        rcu::Guard, //
    },
    uapi::OSTOR_KIND_CGROUP, //
};
use core::ptr;
use kernel::{
    bindings,
    ffi::{
        c_char,
        c_void, //
    },
    prelude::*,
    sync::aref::ARef, //
};

pub(super) static OPS: OwnerOps = OwnerOps {
    kind: OSTOR_KIND_CGROUP,
    number_of: number,
    uncharge: None,
};

object! {
    /// A cgroup: `struct cgroup`.
    Cgroup: bindings::cgroup, shim::ostor_cgroup_get, shim::ostor_cgroup_put
}

impl Cgroup {
    /// The cgroup whose directory is open as `fd`, for which `O_PATH` is enough. Fails with `EBADF`
    /// for any other descriptor, with `ESRCH` if the cgroup has been released.
    pub(crate) fn of_fd(fd: i32) -> Result<ARef<Self>> {
        // SAFETY: An FFI call with no requirement in task context.
        let cgroup = unsafe { shim::ostor_cgroup_of_fd(fd) };
        // SAFETY: A reference, or an error.
        unsafe { Self::adopt(cgroup) }
    }

    /// The cgroup v2 with this id, if the caller can see it in its cgroup namespace. Fails with
    /// `ESRCH` if there is none.
    pub(crate) fn of_id(id: u64) -> Result<ARef<Self>> {
        // SAFETY: An FFI call with no requirement in task context.
        let cgroup = unsafe { shim::ostor_cgroup_of_id(id) };
        // SAFETY: A reference, or an error.
        unsafe { Self::adopt(cgroup) }
    }
}

/// The identity of the cgroup at `cgroup`, which must be valid.
///
/// Its stamp is the serial number that the kernel gives to every cgroup it creates. The roots of
/// hierarchies have none: theirs is the number of the hierarchy.
#[inline(always)]
fn id(cgroup: *mut bindings::cgroup) -> OwnerId {
    // SAFETY: Valid, and set before anybody can find the cgroup.
    let mut serial = unsafe { (*cgroup).self_.serial_nr };
    // A cgroup that is being made may have neither; it is refused, and nothing is found.
    //
    // SAFETY: As above.
    let root = unsafe { (*cgroup).root };
    if serial == 0 && !root.is_null() {
        // SAFETY: A cgroup keeps its hierarchy, whose number does not change.
        serial = !u64::from(unsafe { (*root).hierarchy_id }.unsigned_abs());
    }
    OwnerId::new(cgroup, &OPS, serial)
}

/// The cgroup's id, which is unique within its hierarchy: the inode number of its directory.
///
/// # Safety
///
/// As [`OwnerOps::number_of`].
unsafe fn number(id: OwnerId, _rcu: &Guard) -> u64 {
    let cgroup = ptr::with_exposed_provenance::<bindings::cgroup>(id.addr());
    // The notice comes from `css_release_work_fn()`, which queues the `rcu_work` that frees the cgroup
    // and puts its node after the notice has returned.
    //
    // SAFETY: The notice had not returned when the guard was taken, so the guard keeps both.
    unsafe { (*(*cgroup).kn).id }
}

// SAFETY:
// - The gate is the RCU read section in which the cgroup was seen finished and not dying; see above
//   for why the notice comes after it.
// - A finished cgroup stays so.
// - A dying cgroup stays so.
// - `Hooks` exists while the kind is served, and until all maps are gone.
// - `number` is sound to call as it says.
unsafe impl Owner for Cgroup {
    type Gate<'a> = &'a Guard;

    fn ops(&self) -> &'static OwnerOps {
        &OPS
    }

    #[inline(always)]
    fn id(&self) -> OwnerId {
        id(self.as_ptr())
    }

    fn gate<'a>(&'a self, rcu: &'a Guard) -> Result<&'a Guard, Refusal> {
        // SAFETY: Valid by the type invariant.
        let is_alive = || unsafe { shim::ostor_cgroup_alive(self.as_ptr()) };
        kinds::rcu_gate(&OPS, is_alive, rcu)
    }

    /// The memory cgroup that governs the cgroup, if its hierarchy has that controller.
    fn payer<'a>(&self, rcu: &'a Guard) -> Payer<'a> {
        // SAFETY: Valid by the type invariant, and the guard is an RCU read section.
        let memcg = unsafe { shim::ostor_cgroup_memcg(self.as_ptr()) };
        // SAFETY: Valid under RCU.
        unsafe { Payer::new(memcg, rcu) }
    }
}

/// # Safety
///
/// Called by the tracepoint `cgroup_release` only.
unsafe extern "C" fn on_release(
    _data: *mut c_void,
    cgroup: *mut bindings::cgroup,
    _path: *const c_char,
) {
    // SAFETY: The cgroup's notice of death.
    unsafe { kinds::death_notice(&OPS, id(cgroup)) };
}

/// # Safety
///
/// Called at the entry of `bpf_cgrp_storage_free()` only, with its argument.
unsafe extern "C" fn on_storage_free(cgroup: usize, _: usize) {
    let id = id(ptr::with_exposed_provenance_mut(cgroup));
    // SAFETY: The cgroup's second notice of death.
    unsafe { kinds::backstop_notice(id) };
}

/// What tells of dying cgroups, attached until it is dropped. Both may sleep.
pub(super) struct Hooks {
    notice: Option<TracepointProbe>,
    backstop: Option<FtraceHook>,
}

impl kinds::Hooks for Hooks {
    const NOTICE: &'static str = "the tracepoint cgroup_release";

    fn attach() -> Result<Self> {
        // SAFETY: The probe of this tracepoint.
        let notice =
            unsafe { TracepointProbe::attach(c"cgroup_release", on_release as *mut c_void) }?;
        // SAFETY: The hook of this function.
        let backstop = unsafe { FtraceHook::attach(c"bpf_cgrp_storage_free", on_storage_free) };
        Ok(Self {
            notice: Some(notice),
            backstop: kinds::optional("backstop for dead cgroups", backstop),
        })
    }

    fn detach(&mut self) {
        self.notice = None;
        FtraceHook::detach_or_pin(&mut self.backstop);
    }

    fn backstop(&mut self) -> Option<&mut Option<FtraceHook>> {
        Some(&mut self.backstop)
    }
}
