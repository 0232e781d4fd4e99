// SPDX-License-Identifier: GPL-2.0
//! The ioctl boundary: one function per command of the device.
//!
//! Arguments are passed on unchecked, so that a test can pass ones that the device must
//! refuse. Memory stays safe: every address that the kernel writes to is that of a
//! [`Buffer`] of the right length.

#![expect(unsafe_code, reason = "the ioctl boundary")]

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::Result;
use nix::errno::Errno;
use uapi::{
    ostor_elem, ostor_entry, ostor_list, ostor_list_owner, ostor_listed_map, ostor_map_create,
    ostor_map_info, ostor_map_list, ostor_owned, ostor_stats,
};

use super::page::Page;

/// An address in page zero, where nothing is mapped.
const NOWHERE: u64 = 0x10;

/// An address in the kernel's part of the address space.
const KERNEL: u64 = 0xffff_ffff_8100_0000;

/// Memory that is mapped read-only.
static READ_ONLY: [u8; uapi::OSTOR_VALUE_SIZE_MAX as usize] =
    [0x5a; uapi::OSTOR_VALUE_SIZE_MAX as usize];

/// The memory that an address in an argument points to.
#[derive(Debug)]
pub enum Buffer<'a, T> {
    /// None: the address is 0.
    Null,
    /// Memory that the kernel may read and write.
    At(&'a mut [T]),
    /// Memory that the kernel may only read, filled with 0x5a.
    ReadOnly,
    /// A page whose protection a test changes.
    Page(&'a Page),
    /// An address that is not mapped.
    Nowhere,
    /// An address of the kernel.
    Kernel,
}

impl<T> Buffer<'_, T> {
    /// The address. Panics if a buffer holds fewer than `count` items.
    pub(crate) fn address(&mut self, count: u32) -> u64 {
        match self {
            Self::Null => 0,
            Self::At(items) => {
                assert!(
                    items.len() >= count as usize,
                    "buffer shorter than the size passed with it"
                );
                items.as_mut_ptr() as u64
            }
            Self::ReadOnly => READ_ONLY.as_ptr() as u64,
            Self::Page(page) => page.address(count as usize * size_of::<T>()),
            Self::Nowhere => NOWHERE,
            Self::Kernel => KERNEL,
        }
    }
}

/// A command that takes a `struct ostor_elem`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElemCommand {
    /// `OSTOR_IOC_LOOKUP`
    Lookup,
    /// `OSTOR_IOC_GET_OR_CREATE`
    GetOrCreate,
    /// `OSTOR_IOC_UPDATE`
    Update,
    /// `OSTOR_IOC_DELETE`
    Delete,
    /// `OSTOR_IOC_TAKE`
    Take,
}

impl ElemCommand {
    /// All commands.
    pub const ALL: [Self; 5] = [
        Self::Lookup,
        Self::GetOrCreate,
        Self::Update,
        Self::Delete,
        Self::Take,
    ];

    fn number(self) -> u64 {
        match self {
            Self::Lookup => uapi::OSTOR_CMD_LOOKUP,
            Self::GetOrCreate => uapi::OSTOR_CMD_GET_OR_CREATE,
            Self::Update => uapi::OSTOR_CMD_UPDATE,
            Self::Delete => uapi::OSTOR_CMD_DELETE,
            Self::Take => uapi::OSTOR_CMD_TAKE,
        }
    }
}

/// Runs one ioctl.
///
/// # Safety
///
/// `arg` points to what `command` reads and writes, and so does every address in it.
pub(crate) unsafe fn ioctl<T>(fd: BorrowedFd<'_>, command: u64, arg: *mut T) -> Result<()> {
    // SAFETY: The caller guarantees that `arg` is what `command` takes.
    Errno::result(unsafe { libc::ioctl(fd.as_raw_fd(), command, arg) }).map(drop)
}

/// Runs a command whose argument contains no address. Panics if `arg` is of another
/// size than the command's argument.
pub(crate) fn plain<T>(fd: BorrowedFd<'_>, command: u64, arg: &mut T) -> Result<()> {
    assert_eq!(argument_size(command), size_of::<T>());
    // SAFETY: `arg` has the size that the number of the command encodes, and the kernel
    // accesses no more. It contains no address.
    unsafe { ioctl(fd, command, arg) }
}

/// `OSTOR_IOC_MAP_CREATE`
pub fn map_create(fd: BorrowedFd<'_>, mut arg: ostor_map_create) -> Result<()> {
    plain(fd, uapi::OSTOR_CMD_MAP_CREATE, &mut arg)
}

/// `OSTOR_IOC_MAP_INFO`
pub fn map_info(fd: BorrowedFd<'_>) -> Result<ostor_map_info> {
    let mut info = ostor_map_info::default();
    plain(fd, uapi::OSTOR_CMD_MAP_INFO, &mut info).map(|()| info)
}

/// `OSTOR_IOC_STATS`
pub fn stats(fd: BorrowedFd<'_>) -> Result<ostor_stats> {
    let mut stats = ostor_stats::default();
    plain(fd, uapi::OSTOR_CMD_STATS, &mut stats).map(|()| stats)
}

/// Runs a command on one element, with `value` as the memory of its value.
pub fn elem(
    fd: BorrowedFd<'_>,
    command: ElemCommand,
    arg: &mut ostor_elem,
    mut value: Buffer<'_, u8>,
) -> Result<()> {
    arg.value = value.address(arg.value_size);
    // SAFETY: `arg` is of the type that the command takes. The kernel copies `value_size`
    // bytes from or to `value`; `Buffer::address` has checked that it has them.
    unsafe { ioctl(fd, command.number(), arg) }
}

/// `OSTOR_IOC_LIST`, into `entries` and `values`.
pub fn list(
    fd: BorrowedFd<'_>,
    arg: &mut ostor_list,
    mut entries: Buffer<'_, ostor_entry>,
    mut values: Buffer<'_, u8>,
) -> Result<()> {
    arg.entries = entries.address(arg.capacity);
    arg.values = values.address(arg.capacity.saturating_mul(arg.value_size));
    // SAFETY: `arg` is of the type that the command takes. The kernel writes at most
    // `capacity` items to each buffer; `Buffer::address` has checked that they fit.
    unsafe { ioctl(fd, uapi::OSTOR_CMD_LIST, arg) }
}

/// `OSTOR_IOC_LIST_OWNER`, into `entries`.
pub fn list_owner(
    fd: BorrowedFd<'_>,
    arg: &mut ostor_list_owner,
    mut entries: Buffer<'_, ostor_owned>,
) -> Result<()> {
    arg.entries = entries.address(arg.capacity);
    // SAFETY: `arg` is of the type that the command takes. The kernel writes at most
    // `capacity` items to the buffer; `Buffer::address` has checked that they fit.
    unsafe { ioctl(fd, uapi::OSTOR_CMD_LIST_OWNER, arg) }
}

/// `OSTOR_IOC_MAP_LIST`, into `entries`.
pub fn map_list(
    fd: BorrowedFd<'_>,
    arg: &mut ostor_map_list,
    mut entries: Buffer<'_, ostor_listed_map>,
) -> Result<()> {
    arg.entries = entries.address(arg.capacity);
    // SAFETY: `arg` is of the type that the command takes. The kernel writes at most
    // `capacity` items to the buffer; `Buffer::address` has checked that they fit.
    unsafe { ioctl(fd, uapi::OSTOR_CMD_MAP_LIST, arg) }
}

/// The argument that [`probe`] passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    /// The address of zeroes, as many as the number of a command can encode.
    Zeroes,
    /// An address that is not mapped.
    Nowhere,
    /// An address of the kernel.
    Kernel,
}

/// Runs the command of any number.
pub fn probe(fd: BorrowedFd<'_>, command: u64, argument: Argument) -> Result<()> {
    let mut zeroes = [0u64; (1 << 14) / 8];
    let address = match argument {
        Argument::Zeroes => zeroes.as_mut_ptr(),
        Argument::Nowhere => NOWHERE as *mut u64,
        Argument::Kernel => KERNEL as *mut u64,
    };
    // SAFETY: The kernel accesses at most the 16 KiB that a number can encode. The address
    // is that of as many zeroes, or one that the kernel cannot access for this process.
    unsafe { ioctl(fd, command, address) }
}

/// The size of the argument, which the number of a command encodes.
fn argument_size(command: u64) -> usize {
    (command >> 16) as usize & 0x3fff
}
