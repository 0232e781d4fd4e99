// SPDX-License-Identifier: GPL-2.0

//! Memory, of which the machine keeps account.

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

/// Largest allocation in bytes.
pub(crate) const MAX_SIZE: usize = 8192;

/// Largest alignment in bytes.
pub(crate) const MAX_ALIGN: usize = 8;

/// Who pays; nobody does here.
#[derive(Copy, Clone)]
pub(crate) struct Payer<'a>(PhantomData<&'a Guard>);

impl Payer<'_> {
    /// Nobody pays.
    pub(crate) const NONE: Self = Self(PhantomData);
}

/// Where memory comes from, and who pays for it.
#[derive(Copy, Clone)]
pub(crate) struct AllocSource<'a>(PhantomData<&'a Guard>);

impl<'a> AllocSource<'a> {
    /// From the machine.
    pub(crate) fn new(_payer: Payer<'a>, _rcu: &Guard) -> Self {
        Self(PhantomData)
    }
}

/// Allocates memory, or returns [`None`] where the plan says so.
pub(crate) fn alloc(layout: Layout, site: Site, _source: AllocSource<'_>) -> Option<NonNull<u8>> {
    if fault::alloc(site) {
        return None;
    }
    NonNull::new(machine::alloc(layout, true))
}

/// Frees memory.
///
/// # Safety
///
/// None: the machine sees who is wrong.
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

/// The machine has so much memory, in bytes.
pub(crate) fn set_memory(bytes: u64) {
    MEMORY.set(bytes);
}

/// The machine's memory, in bytes.
pub(crate) fn totalram() -> u64 {
    MEMORY.get()
}
