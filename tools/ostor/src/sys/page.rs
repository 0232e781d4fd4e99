// SPDX-License-Identifier: GPL-2.0
//! A page whose protection changes while the kernel writes to it.

#![expect(unsafe_code, reason = "memory that Rust does not manage")]

use std::num::NonZeroUsize;
use std::os::raw::c_void;
use std::ptr::NonNull;

use nix::Result;
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, mprotect, munmap};

/// Bytes of a page, on every architecture.
const SIZE: NonZeroUsize = NonZeroUsize::new(4096).expect("not 0");

/// A page that only system calls read and write.
#[derive(Debug)]
pub struct Page(NonNull<c_void>);

// SAFETY: No reference to the memory is created, so threads share only its address.
unsafe impl Sync for Page {}

impl Page {
    /// A writable page of zeroes.
    pub fn new() -> Result<Self> {
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: The mapping is new, and is not fixed to an address.
        unsafe { mmap_anonymous(None, SIZE, access, MapFlags::MAP_PRIVATE) }.map(Self)
    }

    /// Makes the page writable or read-only.
    pub fn set_writable(&self, writable: bool) -> Result<()> {
        let write = if writable {
            ProtFlags::PROT_WRITE
        } else {
            ProtFlags::empty()
        };
        // SAFETY: This object owns the page, and only system calls access it.
        unsafe { mprotect(self.0, SIZE.get(), ProtFlags::PROT_READ | write) }
    }

    /// The address. Panics if `size` bytes do not fit.
    pub(super) fn address(&self, size: usize) -> u64 {
        assert!(size <= SIZE.get(), "more than a page is passed with it");
        self.0.as_ptr() as u64
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: This object owns the page, and no reference to the memory exists.
        let unmapped = unsafe { munmap(self.0, SIZE.get()) };
        debug_assert_eq!(unmapped, Ok(()));
    }
}
