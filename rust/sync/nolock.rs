// SPDX-License-Identifier: GPL-2.0

//! Memory that can be allocated in every context, NMI included.
//!
//! `kmalloc_nolock()` never waits and never reclaims: what it cannot have at once it does not get.

use super::fault::{
    self,
    Point, //
};
use crate::shim;
use core::{
    alloc::Layout,
    ptr::NonNull, //
};

/// Largest allocation in bytes: `KMALLOC_MAX_CACHE_SIZE` with pages of 4 KiB, the smallest there
/// are, so that a limit derived from it holds everywhere.
pub(crate) const MAX_SIZE: usize = 8192;

/// Largest alignment in bytes, `ARCH_KMALLOC_MINALIGN` where it is smallest.
pub(crate) const MAX_ALIGN: usize = 8;

/// Allocates uninitialised memory, or returns [`None`]. Any context.
///
/// A failure can be injected at `point`.
pub(crate) fn alloc(layout: Layout, point: Point) -> Option<NonNull<u8>> {
    debug_assert!(layout.size() != 0 && layout.size() <= MAX_SIZE && layout.align() <= MAX_ALIGN);
    if fault::alloc(point) {
        return None;
    }
    // SAFETY: An FFI call with no requirement.
    NonNull::new(unsafe { shim::ostor_kmalloc_nolock(layout.size()) }.cast())
}

/// Frees memory at once. Any context.
///
/// # Safety
///
/// `ptr` must come from [`alloc`], and nobody may access it any more.
pub(crate) unsafe fn free(ptr: NonNull<u8>) {
    // SAFETY: By the contract.
    unsafe { shim::ostor_kfree_nolock(ptr.as_ptr().cast()) };
}

/// Frees memory by the slab's ordinary way, which KASAN's quarantine watches. Task context only.
///
/// # Safety
///
/// As [`free`].
pub(crate) unsafe fn free_in_task(ptr: NonNull<u8>) {
    // SAFETY: By the contract; `kfree()` takes what `kmalloc_nolock()` gave.
    unsafe { shim::ostor_kfree(ptr.as_ptr().cast()) };
}

/// Allocates and frees, to see what that costs; false if there was no memory.
pub(crate) fn alloc_and_free(layout: Layout) -> bool {
    let Some(ptr) = alloc(layout, Point::ElementAlloc) else {
        return false;
    };
    // SAFETY: Allocated above, and not used.
    unsafe { free(ptr) };
    true
}
