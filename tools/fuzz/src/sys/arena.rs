// SPDX-License-Identifier: GPL-2.0
//! Memory for arguments, surrounded by unmapped address space, so that the kernel may write
//! to it or near it without changing memory that Rust uses.

#![expect(unsafe_code, reason = "mapping and writing memory by address")]

use std::ffi::c_void;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::ptr::NonNull;

use nix::Result;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap, mmap_anonymous, mprotect};
use nix::unistd::ftruncate;
use ostor::random::Random;

/// Address of the first arena, far from all other mappings of a process.
const BASE: usize = 0x1000_0000_0000;

/// Bytes of address space of each arena.
const ZONE: usize = 64 << 20;

/// Most arenas.
const ZONES: usize = 256;

/// Offsets of the mapped parts of a zone, with unmapped space around each.
const PRIVATE: usize = 16 << 20;
const READ_ONLY: usize = 32 << 20;
const PAST_EOF: usize = 48 << 20;

/// Bytes of a part.
const PART: usize = 256 << 10;

const PAGE: usize = 4096;

/// End of the address space of a process, on any architecture.
const USER_END: u64 = 1 << 56;

/// The kind of memory that an address points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Memory that can be read and written.
    Private,
    /// The end of such memory, with part of the bytes behind it.
    End,
    /// Memory that can only be read.
    ReadOnly,
    /// A mapping of a file, beyond the file's end.
    PastEof,
    /// Memory whose protection another thread changes.
    Shared,
    /// Memory that is not mapped.
    Nowhere,
    /// Page zero.
    Null,
    /// An address of the kernel.
    Kernel,
    /// A non-canonical address.
    NonCanonical,
}

impl Place {
    const ALL: [Self; 9] = [
        Self::Private,
        Self::End,
        Self::ReadOnly,
        Self::PastEof,
        Self::Shared,
        Self::Nowhere,
        Self::Null,
        Self::Kernel,
        Self::NonCanonical,
    ];

    /// Any place.
    pub(crate) fn any(random: &mut Random) -> Self {
        *random.pick(&Self::ALL)
    }
}

/// The zone of a thread. Zone 0 is shared by all threads.
#[derive(Debug)]
pub(crate) struct Arena {
    zone: usize,
}

impl Arena {
    /// The zone that the calls of all threads use.
    pub(crate) const SHARED: usize = 0;

    /// Maps a zone. A zone can be mapped once.
    pub(crate) fn map(zone: usize) -> Result<Self> {
        assert!(zone < ZONES, "more zones than there is room for");
        let start = BASE + zone * ZONE;
        let fixed = MapFlags::MAP_PRIVATE | MapFlags::MAP_FIXED_NOREPLACE;
        let sparse = fixed | MapFlags::MAP_NORESERVE;
        let anywhere = |flags, prot, at, len| {
            // SAFETY: MAP_FIXED_NOREPLACE: the call fails if anything is mapped there.
            unsafe { mmap_anonymous(NonZeroUsize::new(at), non_zero(len), prot, flags) }
        };
        anywhere(sparse, ProtFlags::PROT_NONE, start, ZONE)?;
        let arena = Self { zone };
        arena.protect(PRIVATE, PROT_RW)?;
        arena.protect(READ_ONLY, ProtFlags::PROT_READ)?;
        let file = memfd_create(c"ostor-fuzz", MFdFlags::MFD_CLOEXEC)?;
        ftruncate(&file, PAGE as i64)?;
        arena.map_file(&file)?;
        Ok(arena)
    }

    fn map_file(&self, file: &impl AsFd) -> Result<()> {
        let at = NonZeroUsize::new(self.start() + PAST_EOF);
        let flags = MapFlags::MAP_SHARED | MapFlags::MAP_FIXED;
        // SAFETY: Only this zone is mapped over, and no Rust object is in a zone.
        unsafe { mmap(at, non_zero(2 * PAGE), PROT_RW, flags, file, 0) }.map(drop)
    }

    fn start(&self) -> usize {
        BASE + self.zone * ZONE
    }

    fn protect(&self, part: usize, prot: ProtFlags) -> Result<()> {
        // SAFETY: The part is in a zone, and no Rust object is in a zone.
        unsafe { mprotect(pointer(self.start() + part), PART, prot) }
    }

    /// Changes the protection of the shared memory, or discards its contents.
    pub(crate) fn disturb(&self, random: &mut Random) -> Result<()> {
        assert_eq!(self.zone, Self::SHARED, "a thread's own memory stays");
        let prot = match random.below(4) {
            0 => ProtFlags::PROT_NONE,
            1 => ProtFlags::PROT_READ,
            2 => PROT_RW,
            _ => {
                let at = pointer(self.start() + PRIVATE);
                // SAFETY: The part is in a zone, and no Rust object is in a zone.
                return unsafe { madvise(at, PART, MmapAdvise::MADV_DONTNEED) };
            }
        };
        self.protect(PRIVATE, prot)
    }

    /// An address for `len` bytes at a place.
    pub(crate) fn address(&self, place: Place, len: usize, random: &mut Random) -> u64 {
        let len = len.clamp(1, PART);
        let within = |part, random: &mut Random| {
            let room = PART - len + 1;
            let at = random.below(room);
            // Mostly aligned, as arguments of programs are.
            let at = if random.below(8) == 0 { at } else { at & !7 };
            self.start() + part + at
        };
        let address = match place {
            Place::Private => within(PRIVATE, random),
            Place::End => self.start() + PRIVATE + PART - random.below(len) - 1,
            Place::ReadOnly => within(READ_ONLY, random),
            Place::PastEof => self.start() + PAST_EOF + PAGE - random.below(len.min(PAGE)),
            Place::Shared => BASE + Self::SHARED * ZONE + PRIVATE + random.below(PART),
            Place::Nowhere => self.start() + random.below(PRIVATE),
            Place::Null => random.below(2) * random.below(PAGE),
            Place::Kernel => 0xffff_ffff_8000_0000 | random.below(1 << 30),
            Place::NonCanonical => (1 << 62) | random.below(1 << 30),
        };
        address as u64
    }

    /// Copies bytes to a place of this zone and returns the address. Bytes at places that
    /// cannot be written are not copied.
    pub(crate) fn put(&self, place: Place, bytes: &[u8], random: &mut Random) -> u64 {
        assert_ne!(
            self.zone,
            Self::SHARED,
            "another thread may change its protection"
        );
        let address = self.address(place, bytes.len(), random);
        if matches!(place, Place::Private | Place::End) {
            let end = (self.start() + PRIVATE + PART) as u64;
            let fits = bytes.len().min((end - address) as usize);
            let to = address as *mut u8;
            // SAFETY: `fits` bytes from `to` on are in the private part, which stays writable
            // and which only this thread writes.
            unsafe { to.copy_from_nonoverlapping(bytes.as_ptr(), fits) };
        }
        address
    }
}

const PROT_RW: ProtFlags = ProtFlags::PROT_READ.union(ProtFlags::PROT_WRITE);

/// Whether the kernel may write to an address: it is in a zone, or cannot be mapped by a
/// process.
pub(crate) fn is_harmless(address: u64) -> bool {
    let zones = BASE as u64..(BASE + ZONES * ZONE) as u64;
    address < PAGE as u64 || address >= USER_END || zones.contains(&address)
}

fn pointer(address: usize) -> NonNull<c_void> {
    NonNull::new(address as *mut c_void).expect("no zone is at 0")
}

fn non_zero(len: usize) -> NonZeroUsize {
    NonZeroUsize::new(len).expect("a length")
}
