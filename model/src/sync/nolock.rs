// SPDX-License-Identifier: GPL-2.0

//! Allocates memory of the machine.

use super::{
    fault::{
        self,
        Site, //
    },
    rcu::Guard, //
};
use core::{
    alloc::Layout,
    marker::PhantomData,
    ptr::NonNull, //
};
use std::cell::Cell;

/// The largest size of an allocation in bytes.
pub(crate) const MAX_SIZE: usize = 8192;

/// The largest alignment in bytes.
pub(crate) const MAX_ALIGN: usize = 8;

/// The memory cgroup that pays: none here.
#[derive(Copy, Clone)]
pub(crate) struct Payer<'a>(PhantomData<&'a Guard>);

impl Payer<'_> {
    /// No memory cgroup pays.
    pub(crate) const NONE: Self = Self(PhantomData);
}

/// The source of memory, and the memory cgroup that pays for it.
#[derive(Copy, Clone)]
pub(crate) struct AllocSource<'a>(PhantomData<&'a Guard>);

impl<'a> AllocSource<'a> {
    /// The machine's memory.
    pub(crate) fn new(_payer: Payer<'a>, _rcu: &Guard) -> Self {
        Self(PhantomData)
    }
}

/// Allocates memory. Returns [`None`] if the plan of faults demands it.
pub(crate) fn alloc(layout: Layout, site: Site, _source: AllocSource<'_>) -> Option<NonNull<u8>> {
    if fault::alloc(site) {
        return None;
    }
    NonNull::new(machine::alloc(layout, true))
}

/// Allocates memory. May sleep. Returns [`None`] if the plan of faults demands it.
pub(crate) fn alloc_in_task(layout: Layout, site: Site) -> Option<NonNull<u8>> {
    if fault::alloc(site) {
        return None;
    }
    NonNull::new(machine::alloc(layout, true))
}

/// Frees memory.
///
/// # Safety
///
/// None: the machine detects each misuse.
pub(crate) unsafe fn free_in_task(ptr: NonNull<u8>) {
    machine::free(ptr.as_ptr());
}

thread_local! {
    static MEMORY: Cell<u64> = const { Cell::new(0) };
}

/// Begins an execution.
pub(crate) fn begin() {
    set_memory(1 << 30);
}

/// Sets the size of the machine's memory in bytes.
pub(crate) fn set_memory(bytes: u64) {
    MEMORY.set(bytes);
}

/// The size of the machine's memory in bytes.
pub(crate) fn totalram() -> u64 {
    MEMORY.get()
}
