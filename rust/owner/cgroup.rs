// SPDX-License-Identifier: GPL-2.0

//! Cgroups as owners, of version 2 and of every version 1 hierarchy.
//!
//! A cgroup is dying from its removal on. It is released when its last reference is put: by a
//! process that had not left, or a socket that was created in it. Until then its values can be
//! found. The notice of death is the tracepoint `cgroup_release`. The memory is freed a grace
//! period later.
//!
//! The gate is an RCU read section that saw the cgroup not dying. The removal marks the cgroup with
//! `percpu_ref_kill()`, and puts the base reference no earlier than a grace period after that. So a
//! section that saw no mark ends before the release. The gate takes no reference: its put might be
//! the last one, and the release queues work, which an NMI must not do.
//!
//! The backstop is the entry of `bpf_cgrp_storage_free()`, which the kernel calls just before it
//! frees the memory. The stamp is a number that is unique in all hierarchies.

use super::{
    kinds,
    object::object,
    owner_ref::{
        Kind,
        Methods, //
    },
    two_notices::TwoNotices, //
};
use crate::{
    shim,
    storage::{
        error::Refusal,
        owner::{
            Owner,
            OwnerId,
            OwnerOps,
            Visits, //
        }, //
    },
    sync::{
        nolock::Payer,
        rcu::Guard, //
    },
    uapi::OSTOR_KIND_CGROUP, //
};
use core::{
    cell::Cell,
    ptr, //
};
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
    visits: Visits::Nothing,
};

static METHODS: Methods = Methods::of::<Cgroup>(&OPS);

// SAFETY: The identity has the address of the object, which is that of the reference to it.
unsafe impl Kind for Cgroup {
    const METHODS: &'static Methods = &METHODS;

    fn gate_for(&self, id: &Cell<OwnerId>, rcu: &Guard) -> Result<(), Refusal> {
        self.gate(rcu)?;
        // It may have been unfinished before.
        id.set(self.id());
        Ok(())
    }
}

object! {
    /// A cgroup: `struct cgroup`.
    Cgroup: bindings::cgroup, shim::ostor_cgroup_get, shim::ostor_cgroup_put
}

impl Cgroup {
    /// The cgroup whose directory is open as `fd`; `O_PATH` is enough. Fails with `EBADF` if `fd`
    /// is anything else, and with `ESRCH` if the cgroup was released.
    pub(crate) fn of_fd(fd: i32) -> Result<ARef<Self>> {
        // SAFETY: An FFI call with no requirement in task context.
        let cgroup = unsafe { shim::ostor_cgroup_of_fd(fd) };
        // SAFETY: The function returned a reference that is now the result's, or an `ERR_PTR`.
        unsafe { Self::adopt(cgroup) }
    }

    /// The cgroup v2 with this id. Fails with `ESRCH` if there is none in the caller's cgroup
    /// namespace.
    pub(crate) fn of_id(id: u64) -> Result<ARef<Self>> {
        // SAFETY: An FFI call with no requirement in task context.
        let cgroup = unsafe { shim::ostor_cgroup_of_id(id) };
        // SAFETY: The function returned a reference that is now the result's, or an `ERR_PTR`.
        unsafe { Self::adopt(cgroup) }
    }
}

/// The identity of the cgroup at `cgroup`, which must be valid.
///
/// Its stamp is the serial number that the kernel gives to each cgroup it creates. The root of a
/// hierarchy has none. Its stamp is the number of the hierarchy, inverted.
#[inline(always)]
fn id(cgroup: *mut bindings::cgroup) -> OwnerId {
    // SAFETY: The cgroup is valid. The kernel sets the number before any other thread can find it.
    let mut serial = unsafe { (*cgroup).self_.serial_nr };
    // A cgroup that is being made may have neither. The gate refuses it, and no lookup finds a
    // value.
    //
    // SAFETY: As above.
    let root = unsafe { (*cgroup).root };
    if serial == 0 && !root.is_null() {
        // SAFETY: A cgroup keeps its hierarchy valid. The number of that does not change.
        serial = !u64::from(unsafe { (*root).hierarchy_id }.unsigned_abs());
    }
    OwnerId::new(cgroup, OSTOR_KIND_CGROUP, serial)
}

/// The cgroup's id: the inode number of its directory, which is unique in its hierarchy.
///
/// # Safety
///
/// As [`OwnerOps::number_of`].
unsafe fn number(id: OwnerId, _rcu: &Guard) -> u64 {
    let cgroup = ptr::with_exposed_provenance::<bindings::cgroup>(id.addr());
    // The notice comes from `css_release_work_fn()`. After the notice has returned, that queues the
    // `rcu_work` which frees the cgroup and puts its node.
    //
    // SAFETY: The notice had not returned when the guard was taken, by the contract. So the guard
    // keeps the cgroup and its node.
    unsafe { (*(*cgroup).kn).id }
}

// SAFETY:
// - The gate is the RCU read section that saw the cgroup finished and not dying. The release, which
//   gives the notice, comes a grace period after the mark.
// - A finished cgroup stays finished, and a dying one dying.
// - The kind is served only while `Hooks` exists, which is dropped after all maps.
// - `number` reads memory that is freed a grace period after the notice has returned.
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
        // SAFETY: The cgroup is valid, by the type invariant.
        let is_alive = || unsafe { shim::ostor_cgroup_alive(self.as_ptr()) };
        kinds::rcu_gate(&OPS, is_alive, rcu)
    }

    /// The memory cgroup that governs the cgroup, if its hierarchy has that controller.
    fn payer<'a>(&self, rcu: &'a Guard) -> Payer<'a> {
        // SAFETY: The cgroup is valid, by the type invariant. The guard is an RCU read section.
        let memcg = unsafe { shim::ostor_cgroup_memcg(self.as_ptr()) };
        // SAFETY: The function returned null, or a memory cgroup that is valid under the guard.
        unsafe { Payer::new(memcg, rcu) }
    }
}

/// # Safety
///
/// May only be called as the probe of the tracepoint `cgroup_release`.
unsafe extern "C" fn on_release(
    _data: *mut c_void,
    cgroup: *mut bindings::cgroup,
    _path: *const c_char,
) {
    // SAFETY: This is the cgroup's notice of death.
    unsafe { kinds::death_notice(&OPS, id(cgroup)) };
}

/// # Safety
///
/// May only be called as the hook of `bpf_cgrp_storage_free()`.
unsafe extern "C" fn on_storage_free(cgroup: usize, _: usize) {
    let id = id(ptr::with_exposed_provenance_mut(cgroup));
    // SAFETY: This is the cgroup's second notice of death.
    unsafe { kinds::backstop_notice(id) };
}

/// The hooks of a cgroup's death.
pub(super) type Hooks = TwoNotices;

/// Attaches the hooks.
pub(super) fn attach() -> Result<Hooks> {
    // SAFETY: `on_release` has the prototype of this tracepoint's probes, `on_storage_free` is the
    // hook of this function, and both may be called anywhere.
    unsafe {
        TwoNotices::attach(
            c"cgroup_release",
            on_release as *mut c_void,
            c"bpf_cgrp_storage_free",
            on_storage_free,
            "backstop for dead cgroups",
        )
    }
}
