// SPDX-License-Identifier: GPL-2.0

//! Cgroups as owners, of version 2 and of every version 1 hierarchy.
//!
//! A cgroup is dying from its removal on, and is released when its last reference goes: a process
//! that has not left, a socket that was created in it. Until then its values can be found. The
//! notice of death is the tracepoint `cgroup_release`; the memory goes a grace period later.
//!
//! The gate is an RCU read section that saw the cgroup not dying. Removal marks the cgroup with
//! `percpu_ref_kill()`, and only a grace period after that the reference goes which every cgroup has
//! to itself; so whoever saw no mark is done before the release. A reference taken over the link,
//! which would do as well, might be the last one to be put, and a release queues work: that is
//! nothing to do in an NMI.
//!
//! The backstop is the entry of `bpf_cgrp_storage_free()`, which the kernel calls just before the
//! memory goes. And there is a stamp: cgroups are numbered, through all hierarchies.

use super::{
    hook::{
        Entry,
        Tracepoint, //
    },
    kinds, //
};
use crate::{
    shim,
    storage::{
        error::Refusal,
        owner::{
            Kind,
            Owner,
            OwnerId, //
        },
        runtime::Runtime, //
    },
    sync::{
        nolock::Payer,
        rcu::Guard, //
    },
    uapi::OSTOR_KIND_CGROUP, //
};
use core::ptr::{
    self,
    NonNull, //
};
use kernel::{
    bindings,
    error::from_err_ptr,
    ffi::{
        c_char,
        c_void, //
    },
    prelude::*,
    sync::aref::{
        ARef,
        AlwaysRefCounted, //
    },
    types::Opaque, //
};

pub(super) static KIND: Kind = Kind {
    number: OSTOR_KIND_CGROUP,
    number_of: number,
    uncharge: None,
};

/// A cgroup: `struct cgroup`.
///
/// # Invariants
///
/// There is a reference to it as long as there is a `&Cgroup`.
#[repr(transparent)]
pub(crate) struct Cgroup(Opaque<bindings::cgroup>);

// SAFETY: References can be put on any thread.
unsafe impl Send for Cgroup {}
// SAFETY: What is done with a shared reference, any thread may do.
unsafe impl Sync for Cgroup {}

// SAFETY: `cgroup_get()` and `cgroup_put()` count references.
unsafe impl AlwaysRefCounted for Cgroup {
    fn inc_ref(&self) {
        // SAFETY: There is a reference by the type invariant.
        unsafe { shim::ostor_cgroup_get(self.0.get()) };
    }

    unsafe fn dec_ref(cgroup: NonNull<Self>) {
        // SAFETY: The caller gives one reference up.
        unsafe { shim::ostor_cgroup_put(cgroup.cast().as_ptr()) };
    }
}

impl Cgroup {
    /// The cgroup whose directory is open as `fd`, for which `O_PATH` is enough. Fails with `EBADF`
    /// for any other descriptor, with `ESRCH` if the cgroup has been released.
    pub(crate) fn of_fd(fd: i32) -> Result<ARef<Self>> {
        // SAFETY: An FFI call with no requirement in task context.
        Self::adopt(unsafe { shim::ostor_cgroup_of_fd(fd) })
    }

    /// The cgroup v2 with this id, if the caller can see it in its cgroup namespace. Fails with
    /// `ESRCH` if there is none.
    pub(crate) fn of_id(id: u64) -> Result<ARef<Self>> {
        // SAFETY: An FFI call with no requirement in task context.
        Self::adopt(unsafe { shim::ostor_cgroup_of_id(id) })
    }

    fn adopt(cgroup: *mut bindings::cgroup) -> Result<ARef<Self>> {
        let cgroup = NonNull::new(from_err_ptr(cgroup)?.cast()).ok_or(ESRCH)?;
        // SAFETY: The shim returned a reference, which is the result's from now on.
        Ok(unsafe { ARef::from_raw(cgroup) })
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
    if serial == 0 {
        // SAFETY: A valid cgroup is in a hierarchy, whose number does not change.
        serial = !u64::from(unsafe { (*(*cgroup).root).hierarchy_id }.unsigned_abs());
    }
    OwnerId::new(cgroup, &KIND, serial)
}

/// The cgroup's id, which is unique within its hierarchy: the inode number of its directory.
///
/// # Safety
///
/// As [`Kind::number_of`].
unsafe fn number(id: OwnerId, _rcu: &Guard) -> u64 {
    let cgroup = ptr::with_exposed_provenance::<bindings::cgroup>(id.addr());
    // SAFETY: The cgroup and its node go a grace period after the notice at the earliest, which had
    // not begun when the guard was taken.
    unsafe { (*(*cgroup).kn).id }
}

// SAFETY:
// - The gate is the RCU read section in which the cgroup was seen not dying; see above for why the
//   notice comes after it.
// - A dying cgroup stays so.
// - `Hooks` exists while the kind is served, and until all maps are gone.
// - `number` is sound to call as it says.
unsafe impl Owner for Cgroup {
    type Gate<'a> = &'a Guard;

    fn kind(&self) -> &'static Kind {
        &KIND
    }

    #[inline(always)]
    fn id(&self) -> OwnerId {
        id(self.0.get())
    }

    fn gate<'a>(&'a self, rcu: &'a Guard) -> Result<&'a Guard, Refusal> {
        kinds::check_served(&KIND)?;
        // SAFETY: Valid by the type invariant.
        if unsafe { shim::ostor_cgroup_alive(self.0.get()) } {
            Ok(rcu)
        } else {
            Err(Refusal::OwnerDead)
        }
    }

    /// The memory cgroup that governs the cgroup, if its hierarchy has that controller.
    fn payer<'a>(&self, rcu: &'a Guard) -> Payer<'a> {
        // SAFETY: Valid by the type invariant, and the guard is an RCU read section.
        let memcg = unsafe { shim::ostor_cgroup_memcg(self.0.get()) };
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
    if kinds::is_mute(&KIND) {
        return;
    }
    if let Some(runtime) = Runtime::get() {
        // SAFETY: The cgroup's notice of death.
        unsafe { runtime.owner_died(id(cgroup)) };
    }
}

/// # Safety
///
/// Called at the entry of `bpf_cgrp_storage_free()` only, with its argument.
unsafe extern "C" fn on_storage_free(cgroup: usize, _: usize) {
    let id = id(ptr::with_exposed_provenance_mut(cgroup));
    // SAFETY: The cgroup's second notice of death.
    unsafe { kinds::died_unnoticed(id) };
}

/// What tells of dying cgroups, attached until it is dropped. Both may sleep.
pub(super) struct Hooks {
    _notice: Tracepoint,
    _backstop: Option<Entry>,
}

impl Hooks {
    pub(super) fn attach() -> Result<Self> {
        // SAFETY: The probe of this tracepoint.
        let notice = unsafe { Tracepoint::attach(c"cgroup_release", on_release as *mut c_void) }?;
        // SAFETY: The hook of this function.
        let backstop = unsafe { Entry::attach(c"bpf_cgrp_storage_free", on_storage_free) };
        Ok(Self {
            _notice: notice,
            _backstop: kinds::optional("backstop for dead cgroups", backstop),
        })
    }
}
