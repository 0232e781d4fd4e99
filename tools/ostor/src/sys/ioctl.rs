// SPDX-License-Identifier: GPL-2.0
//! The ioctl boundary: one function per command of the device.
//!
//! The functions pass what they are given, wrong or not, so that tests can ask
//! for what must be refused. Memory is safe all the same: an address that the
//! kernel may write to always comes from a [`Buffer`].

#![expect(unsafe_code, reason = "the ioctl boundary")]

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::Result;
use nix::errno::Errno;
use uapi::{
    ostor_ages, ostor_bench, ostor_context, ostor_context_cpu, ostor_crowd, ostor_cycle,
    ostor_elem, ostor_entry, ostor_fault, ostor_list, ostor_list_owner, ostor_map_create,
    ostor_map_info, ostor_op, ostor_owned, ostor_recurse, ostor_stats,
};

use super::page::Page;

/// An address in page zero, where nothing is mapped.
const NOWHERE: u64 = 0x10;

/// An address in the kernel's half of the address space.
const KERNEL: u64 = 0xffff_ffff_8100_0000;

/// Memory that the kernel finds mapped read-only.
static READ_ONLY: [u8; uapi::OSTOR_VALUE_SIZE_MAX as usize] =
    [0x5a; uapi::OSTOR_VALUE_SIZE_MAX as usize];

/// What an address in an argument points to.
#[derive(Debug)]
pub enum Buffer<'a, T> {
    /// Nothing: the address is 0.
    Null,
    /// Memory that the kernel may read and write.
    At(&'a mut [T]),
    /// Memory that the kernel may only read: as many 0x5a as it wants.
    ReadOnly,
    /// A page that may be read-only at times.
    Page(&'a Page),
    /// Nothing that is mapped.
    Nowhere,
    /// Memory of the kernel's own.
    Kernel,
}

impl<T> Buffer<'_, T> {
    /// The address, after checking that `count` items fit where there are any.
    fn address(&mut self, count: u32) -> u64 {
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
    /// All of them.
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
/// `arg` is valid for what `command` reads and writes, and so is every address
/// in it.
unsafe fn ioctl<T>(fd: BorrowedFd<'_>, command: u64, arg: *mut T) -> Result<()> {
    // SAFETY: The caller vouches for `arg`.
    Errno::result(unsafe { libc::ioctl(fd.as_raw_fd(), command, arg) }).map(drop)
}

/// Runs a command whose argument `arg` holds no address.
fn plain<T>(fd: BorrowedFd<'_>, command: u64, arg: &mut T) -> Result<()> {
    assert_eq!(argument_size(command), size_of::<T>());
    // SAFETY: `arg` is as large as the command's number says.
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

/// `OSTOR_IOC_RECURSE`
pub fn recurse(fd: BorrowedFd<'_>, arg: &mut ostor_recurse) -> Result<()> {
    plain(fd, uapi::OSTOR_CMD_RECURSE, arg)
}

/// `OSTOR_IOC_BENCH`
pub fn bench(fd: BorrowedFd<'_>, arg: &mut ostor_bench) -> Result<()> {
    plain(fd, uapi::OSTOR_CMD_BENCH, arg)
}

/// `OSTOR_IOC_FAULT`
pub fn fault(fd: BorrowedFd<'_>, arg: &mut ostor_fault) -> Result<()> {
    plain(fd, uapi::OSTOR_CMD_FAULT, arg)
}

/// `OSTOR_IOC_CROWD`
pub fn crowd(fd: BorrowedFd<'_>, arg: &mut ostor_crowd) -> Result<()> {
    plain(fd, uapi::OSTOR_CMD_CROWD, arg)
}

/// `OSTOR_IOC_AGES`
pub fn ages(fd: BorrowedFd<'_>, arg: &mut ostor_ages) -> Result<()> {
    plain(fd, uapi::OSTOR_CMD_AGES, arg)
}

/// A command on one element, whose value stands in `value`.
pub fn elem(
    fd: BorrowedFd<'_>,
    command: ElemCommand,
    arg: &mut ostor_elem,
    mut value: Buffer<'_, u8>,
) -> Result<()> {
    arg.value = value.address(arg.value_size);
    // SAFETY: `value` holds the `value_size` bytes that the kernel copies.
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
    // SAFETY: Both buffers hold `capacity` items, the most that is written.
    unsafe { ioctl(fd, uapi::OSTOR_CMD_LIST, arg) }
}

/// `OSTOR_IOC_LIST_OWNER`, into `entries`.
pub fn list_owner(
    fd: BorrowedFd<'_>,
    arg: &mut ostor_list_owner,
    mut entries: Buffer<'_, ostor_owned>,
) -> Result<()> {
    arg.entries = entries.address(arg.capacity);
    // SAFETY: The buffer holds `capacity` items, the most that is written.
    unsafe { ioctl(fd, uapi::OSTOR_CMD_LIST_OWNER, arg) }
}

/// `OSTOR_IOC_CYCLE`
pub fn cycle(fd: BorrowedFd<'_>, arg: &mut ostor_cycle) -> Result<()> {
    plain(fd, uapi::OSTOR_CMD_CYCLE, arg)
}

/// `OSTOR_IOC_CONTEXT`, of `ops` and into `results`.
pub fn context(
    fd: BorrowedFd<'_>,
    arg: &mut ostor_context,
    mut ops: Buffer<'_, ostor_op>,
    mut results: Buffer<'_, ostor_context_cpu>,
) -> Result<()> {
    arg.ops = ops.address(arg.ops_count);
    arg.results = results.address(arg.cpus.count_ones());
    // SAFETY: The buffers hold `ops_count` items and one for each bit of `cpus`.
    unsafe { ioctl(fd, uapi::OSTOR_CMD_CONTEXT, arg) }
}

/// What [`probe`] passes as the argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    /// The address of zeroes, more than any command's number can ask for.
    Zeroes,
    /// An address at which nothing is mapped.
    Nowhere,
    /// An address of the kernel's.
    Kernel,
}

/// Runs any command number.
pub fn probe(fd: BorrowedFd<'_>, command: u64, argument: Argument) -> Result<()> {
    let mut zeroes = [0u64; (1 << 14) / 8];
    let address = match argument {
        Argument::Zeroes => zeroes.as_mut_ptr(),
        Argument::Nowhere => NOWHERE as *mut u64,
        Argument::Kernel => KERNEL as *mut u64,
    };
    // SAFETY: The kernel writes at most the 16 KiB that a number can encode,
    // and the address is of so many zeroes or of nothing it can write to.
    unsafe { ioctl(fd, command, address) }
}

/// The size of the argument that a command's number encodes.
fn argument_size(command: u64) -> usize {
    (command >> 16) as usize & 0x3fff
}
