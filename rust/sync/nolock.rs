// SPDX-License-Identifier: GPL-2.0

//! Allocations in any context, NMI included.
//!
//! `kmalloc_nolock()` neither waits nor reclaims. It also fails where it finds a lock of the
//! allocator taken, maybe by a task that was preempted on this CPU and does not run for long. So
//! where the caller can be seen to hold no lock, `kmalloc()` with `GFP_NOWAIT` is used. It is also
//! cheaper.
//!
//! Only there is the memory charged to a memory cgroup: a charge can take locks and wake tasks,
//! with either allocator. Elsewhere the memory is not charged, and the allocation is counted.

use super::{
    counter::Counter,
    fault::{
        self,
        Site, //
    },
    rcu::Guard, //
};
use crate::shim;
use core::{
    alloc::Layout,
    marker::PhantomData,
    ptr::{
        self,
        NonNull, //
    }, //
};
use kernel::{
    bindings,
    prelude::*, //
};

/// Largest allocation in bytes: `KMALLOC_MAX_CACHE_SIZE` with pages of 4 KiB, which no architecture
/// has smaller. So a limit that is derived from it is the same everywhere.
pub(crate) const MAX_SIZE: usize = 8192;

/// Largest alignment in bytes: the smallest `ARCH_KMALLOC_MINALIGN` of all architectures.
pub(crate) const MAX_ALIGN: usize = 8;

/// The memory cgroup that an allocation is charged to. The root memory cgroup is not charged.
///
/// # Invariants
///
/// The pointer is null, or the memory cgroup is valid for `'a`.
#[derive(Copy, Clone)]
pub(crate) struct Payer<'a>(*mut bindings::mem_cgroup, PhantomData<&'a Guard>);

impl<'a> Payer<'a> {
    /// No memory cgroup is charged.
    pub(crate) const NONE: Self = Self(ptr::null_mut(), PhantomData);

    /// The memory cgroup at `memcg`, or none if that is null.
    ///
    /// # Safety
    ///
    /// The memory cgroup must be valid while the guard is held.
    pub(crate) unsafe fn new(memcg: *mut bindings::mem_cgroup, _rcu: &'a Guard) -> Self {
        // INVARIANT: By the contract.
        Self(memcg, PhantomData)
    }
}

/// Which memory cgroup is charged if the caller can be seen to hold no lock.
#[derive(Copy, Clone)]
pub(crate) struct AllocSource<'a> {
    payer: Payer<'a>,
    rcu: &'a Guard,
}

impl<'a> AllocSource<'a> {
    /// Allocations under `rcu`, which must be the innermost guard.
    pub(crate) fn new(payer: Payer<'a>, rcu: &'a Guard) -> Self {
        Self { payer, rcu }
    }
}

/// Allocations that were not charged to their payer, because of the context.
static UNCHARGED: Counter = Counter::new();

/// Allocations so far that were not charged to their payer, because of the context.
pub(crate) fn uncharged() -> u64 {
    UNCHARGED.get()
}

/// Whether the current task can be seen to hold no spinning lock. `_rcu` must be the innermost
/// guard. False if another guard is held, and guards disable preemption.
pub(crate) fn holds_no_lock(_rcu: &Guard) -> bool {
    // SAFETY: An FFI call with no requirement.
    unsafe { shim::ostor_holds_no_lock() }
}

/// Allocates uninitialised memory. Returns [`None`] if that needs to wait, or if the payer has
/// reached its limit. Any context.
///
/// A test can inject a failure at `site`.
#[inline(always)]
pub(crate) fn alloc(layout: Layout, site: Site, source: AllocSource<'_>) -> Option<NonNull<u8>> {
    debug_assert!(layout.size() != 0 && layout.size() <= MAX_SIZE && layout.align() <= MAX_ALIGN);
    if fault::alloc(site) {
        return None;
    }
    if holds_no_lock(source.rcu) {
        // SAFETY: The caller holds no lock. The memory cgroup is null or valid, by the type
        // invariant of `Payer`.
        let ptr = unsafe { shim::ostor_kmalloc(layout.size(), source.payer.0) };
        return NonNull::new(ptr.cast());
    }
    // SAFETY: An FFI call with no requirement.
    let ptr = NonNull::new(unsafe { shim::ostor_kmalloc_nolock(layout.size()) }.cast())?;
    if !source.payer.0.is_null() {
        UNCHARGED.add(1);
    }
    Some(ptr)
}

/// Allocates uninitialised memory with `GFP_KERNEL`. May sleep. Charged to no memory cgroup.
///
/// A test can inject a failure at `site`.
pub(crate) fn alloc_in_task(layout: Layout, site: Site) -> Option<NonNull<u8>> {
    debug_assert!(layout.size() != 0 && layout.size() <= MAX_SIZE && layout.align() <= MAX_ALIGN);
    if fault::alloc(site) {
        return None;
    }
    // A vector of words is as aligned as any layout here.
    const { assert!(align_of::<u64>() == MAX_ALIGN) };
    let words = layout.size().div_ceil(size_of::<u64>());
    let memory = KVec::<u64>::with_capacity(words, GFP_KERNEL).ok()?;
    NonNull::new(memory.into_raw_parts().0.cast())
}

/// Frees memory with `kfree()`, so that KASAN's quarantine has it. Task context only.
///
/// # Safety
///
/// `ptr` must come from [`alloc`] or [`alloc_in_task`], and must not be used any more.
pub(crate) unsafe fn free_in_task(ptr: NonNull<u8>) {
    // SAFETY: The memory was allocated by `kmalloc()` or `kmalloc_nolock()`, by the contract.
    // `kfree()` frees what either has allocated.
    unsafe { shim::ostor_kfree(ptr.as_ptr().cast()) };
}

/// Bytes of memory of the machine.
pub(crate) fn totalram() -> u64 {
    // SAFETY: An FFI call with no requirement.
    unsafe { shim::ostor_totalram() as u64 }
}
