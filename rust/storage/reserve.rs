// SPDX-License-Identifier: GPL-2.0

//! Memory that is allocated beforehand, for creates that must not fail for lack of it.

use super::{
    element::Element,
    raw_map::RawMap,
    store::Storage, //
};
use crate::sync::{
    fault::Site,
    nolock::{
        self,
        AllocSource, //
    }, //
};
use core::{
    alloc::Layout,
    cell::Cell,
    ptr::NonNull, //
};
use kernel::prelude::*;

/// Where a create takes its memory from. The create is compiled for each by itself: one that calls
/// the allocator does not pay for the other one.
pub(super) trait Source: Copy {
    /// Memory of this layout, that of an element.
    fn take_element(self, layout: Layout) -> Option<NonNull<u8>>;

    /// Memory for a storage.
    fn take_storage(self) -> Option<NonNull<u8>>;

    /// Takes back a storage that was not published. Returns false if it is the reaper's.
    ///
    /// # Safety
    ///
    /// The memory must come from [`Source::take_storage`] of this source. The caller must own it,
    /// and gives it up if this returns true.
    unsafe fn put_back_storage(self, _memory: NonNull<u8>) -> bool {
        false
    }
}

impl Source for AllocSource<'_> {
    #[inline(always)]
    fn take_element(self, layout: Layout) -> Option<NonNull<u8>> {
        nolock::alloc(layout, Site::ElementAlloc, self)
    }

    #[inline(always)]
    fn take_storage(self) -> Option<NonNull<u8>> {
        nolock::alloc(Storage::LAYOUT, Site::StorageAlloc, self)
    }
}

/// Memory for a number of creates in maps whose values have one size. One thread uses it at a time.
///
/// A create takes memory for an element, and for a storage if it publishes one. What it does not
/// link is gone: the reaper has to drop the value. A storage that it does not publish comes back.
pub(crate) struct Reserve {
    elements: Blocks,
    storages: Blocks,
}

impl Reserve {
    /// Memory for no create yet, in maps whose values have the size of those of `map`.
    pub(crate) fn new(map: &RawMap) -> Self {
        Self {
            elements: Blocks::new(Element::layout(map)),
            storages: Blocks::new(Storage::LAYOUT),
        }
    }

    /// Allocates until there is memory for `creates` creates. May sleep. What was allocated before
    /// a failure stays.
    pub(crate) fn fill(&mut self, creates: usize) -> Result {
        self.elements.fill(creates, Site::ElementAlloc)?;
        self.storages.fill(creates, Site::StorageAlloc)
    }

    /// The number of creates that there is memory for.
    pub(crate) fn left(&self) -> usize {
        self.elements.left.get().min(self.storages.left.get())
    }
}

impl Source for &Reserve {
    fn take_element(self, layout: Layout) -> Option<NonNull<u8>> {
        // The map may have larger values than the one that the reserve was made for.
        if layout != self.elements.layout {
            return None;
        }
        self.elements.take()
    }

    fn take_storage(self) -> Option<NonNull<u8>> {
        self.storages.take()
    }

    unsafe fn put_back_storage(self, memory: NonNull<u8>) -> bool {
        // SAFETY: By the safety requirements the memory comes from `take_storage`, and the caller
        // gives it up.
        unsafe { self.storages.put(memory) };
        true
    }
}

/// Blocks of memory, linked by their first words.
///
/// # Invariants
///
/// `first` begins a list of `left` blocks of `layout`, which come from `nolock`. This object owns
/// them.
struct Blocks {
    layout: Layout,
    first: Cell<Option<NonNull<Block>>>,
    left: Cell<usize>,
}

struct Block(Option<NonNull<Block>>);

// SAFETY: Any thread may use or free memory that it owns.
unsafe impl Send for Blocks {}

impl Blocks {
    fn new(layout: Layout) -> Self {
        debug_assert!(layout.size() >= size_of::<Block>());
        // INVARIANT: The list is empty.
        Self {
            layout,
            first: Cell::new(None),
            left: Cell::new(0),
        }
    }

    fn fill(&mut self, count: usize, site: Site) -> Result {
        while self.left.get() < count {
            let memory = nolock::alloc_in_task(self.layout, site).ok_or(ENOMEM)?;
            // SAFETY: The memory has the layout, and this call owns it.
            unsafe { self.put(memory) };
        }
        Ok(())
    }

    fn take(&self) -> Option<NonNull<u8>> {
        let block = self.first.get()?;
        // INVARIANT: The first block leaves the list.
        //
        // SAFETY: By the type invariant this object owns the block, whose first word is the link.
        self.first.set(unsafe { block.read() }.0);
        self.left.set(self.left.get() - 1);
        Some(block.cast())
    }

    /// # Safety
    ///
    /// `memory` must come from `nolock`, with the layout of these blocks. The caller must own it,
    /// and gives it up.
    unsafe fn put(&self, memory: NonNull<u8>) {
        let block = memory.cast::<Block>();
        // SAFETY: By the safety requirements the memory is the caller's, and as large and as
        // aligned as its layout, which `new` has checked.
        unsafe { block.write(Block(self.first.get())) };
        // INVARIANT: The block begins the list.
        self.first.set(Some(block));
        self.left.set(self.left.get() + 1);
    }
}

impl Drop for Blocks {
    fn drop(&mut self) {
        while let Some(memory) = self.take() {
            // SAFETY: The memory comes from `nolock`, by the type invariant, and left the list.
            unsafe { nolock::free_in_task(memory) };
        }
    }
}
