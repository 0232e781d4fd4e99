// SPDX-License-Identifier: GPL-2.0

//! Memory that can be allocated in every context, NMI included.
//!
//! `kmalloc_nolock()` never waits and never reclaims: what it cannot have at once it does not get.
//! That may be so only because a task that was preempted on this CPU is inside the allocator, which
//! can last. Where the caller can be seen to hold no lock, an ordinary allocation, which does not
//! wait for memory either, takes its place. It is also cheaper.
//!
//! A charge to a memory cgroup is made there only, too: it can take locks and wake tasks, whatever
//! the allocator may do. Elsewhere memory is allocated uncharged, and counted.

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
use kernel::bindings;

/// Largest allocation in bytes: `KMALLOC_MAX_CACHE_SIZE` with pages of 4 KiB, the smallest there
/// are, so that a limit derived from it holds everywhere.
pub(crate) const MAX_SIZE: usize = 8192;

/// Largest alignment in bytes, `ARCH_KMALLOC_MINALIGN` where it is smallest.
pub(crate) const MAX_ALIGN: usize = 8;

/// The memory cgroup that an allocation is charged to, or nobody; the root is nobody.
#[derive(Copy, Clone)]
pub(crate) struct Payer<'a>(*mut bindings::mem_cgroup, PhantomData<&'a Guard>);

impl<'a> Payer<'a> {
    /// Nobody pays.
    pub(crate) const NONE: Self = Self(ptr::null_mut(), PhantomData);

    /// The memory cgroup at `memcg` pays; null is nobody.
    ///
    /// # Safety
    ///
    /// The memory cgroup must be valid as long as the guard is held.
    pub(crate) unsafe fn new(memcg: *mut bindings::mem_cgroup, _rcu: &'a Guard) -> Self {
        Self(memcg, PhantomData)
    }
}

/// Where memory comes from in the caller's context, and who pays for it.
#[derive(Copy, Clone)]
pub(crate) struct AllocSource<'a> {
    payer: Payer<'a>,
    may_lock: bool,
}

impl<'a> AllocSource<'a> {
    /// `payer` is charged only if the caller can be seen to hold no lock. To be used as long as it
    /// has not taken one. `rcu` must be the innermost guard.
    pub(crate) fn new(payer: Payer<'a>, rcu: &Guard) -> Self {
        Self {
            payer,
            may_lock: holds_no_lock(rcu),
        }
    }
}

/// Allocations that had a payer and were not charged to it.
static UNCHARGED: Counter = Counter::new();

/// Allocations so far that were not charged to their payer, because of the context.
pub(crate) fn uncharged() -> u64 {
    UNCHARGED.get()
}

/// Whether the current task can be seen to hold no spinning lock. `_rcu` must be the innermost
/// guard; where another one is held as well, and it disables preemption, the answer is no.
pub(crate) fn holds_no_lock(_rcu: &Guard) -> bool {
    // SAFETY: An FFI call with no requirement.
    unsafe { shim::ostor_holds_no_lock() }
}

/// Allocates uninitialised memory, or returns [`None`]: there is none without waiting, or who pays
/// has reached its limit. Any context.
///
/// A failure can be injected at `site`.
#[inline(always)]
pub(crate) fn alloc(layout: Layout, site: Site, source: AllocSource<'_>) -> Option<NonNull<u8>> {
    debug_assert!(layout.size() != 0 && layout.size() <= MAX_SIZE && layout.align() <= MAX_ALIGN);
    if fault::alloc(site) {
        return None;
    }
    if source.may_lock {
        // SAFETY: No lock is held, and the memory cgroup is valid by the contract of `Payer::new`,
        // or null.
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

/// Frees memory, by the slab's ordinary way, which KASAN's quarantine watches. Task context only.
///
/// # Safety
///
/// `ptr` must come from [`alloc`], and nobody may access it any more.
pub(crate) unsafe fn free_in_task(ptr: NonNull<u8>) {
    // SAFETY: By the contract; `kfree()` takes what `kmalloc_nolock()` gave.
    unsafe { shim::ostor_kfree(ptr.as_ptr().cast()) };
}

/// The machine's memory, in bytes.
pub(crate) fn totalram() -> u64 {
    // SAFETY: An FFI call with no requirement.
    unsafe { shim::ostor_totalram() as u64 }
}

/// Allocates and frees without a lock, to see what that costs; false if there was no memory.
pub(crate) fn alloc_and_free(size: usize) -> bool {
    // SAFETY: An FFI call with no requirement.
    let ptr = unsafe { shim::ostor_kmalloc_nolock(size) };
    // SAFETY: Allocated above, and not used; null is nothing.
    unsafe { shim::ostor_kfree_nolock(ptr) };
    !ptr.is_null()
}
