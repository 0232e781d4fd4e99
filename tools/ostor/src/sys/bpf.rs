// SPDX-License-Identifier: GPL-2.0
//! BPF storage of sockets, beside which ours lives.

#![expect(unsafe_code, reason = "bpf() has no safe wrapper")]

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

use nix::Result;
use nix::errno::Errno;

/// Commands of `bpf()`.
const MAP_CREATE: libc::c_int = 0;
const MAP_UPDATE_ELEM: libc::c_int = 2;
const BTF_LOAD: libc::c_int = 18;

/// `BPF_MAP_TYPE_SK_STORAGE`.
const SK_STORAGE: u32 = 24;

/// `BPF_F_NO_PREALLOC`, without which there is no such map.
const NO_PREALLOC: u32 = 1;

/// `BPF_F_CLONE`: accepted connections get copies.
const CLONE: u32 = 1 << 9;

/// The type of key and value for the kernel: an `int` of 32 bits, type 1.
const BTF: [u32; 12] = [
    // Magic number, version 1, no flags; the length of this header.
    u32::from_ne_bytes(magic()),
    24,
    // Where the types are from here on, and their length; where the names are.
    0,
    16,
    16,
    8,
    // The name at 1, of kind 1, of 4 bytes; signed, of 32 bits.
    1,
    1 << 24,
    4,
    (1 << 24) | 32,
    // The names: none, and "int".
    u32::from_ne_bytes(*b"\0int"),
    0,
];

/// The first four bytes of [`BTF`].
const fn magic() -> [u8; 4] {
    let [low, high] = 0xeb9f_u16.to_ne_bytes();
    [low, high, 1, 0]
}

/// What of `union bpf_attr` loads a type.
#[repr(C)]
struct BtfLoad {
    btf: u64,
    log: u64,
    size: u32,
    log_size: u32,
    log_level: u32,
    pad: u32,
}

/// What of `union bpf_attr` makes a map.
#[repr(C)]
struct MapCreate {
    kind: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    flags: u32,
    unused: [u32; 2],
    name: [u8; 16],
    ifindex: u32,
    btf_fd: RawFd,
    key_type: u32,
    value_type: u32,
    pad: u32,
}

/// What of `union bpf_attr` stores a value.
#[repr(C)]
struct MapUpdate {
    map: RawFd,
    pad: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// Calls `bpf()`, which returns a number of its own for each command.
///
/// # Safety
///
/// `T` is the beginning of `union bpf_attr` for the command, and the addresses in it are
/// of what the command reads there.
unsafe fn bpf<T>(command: libc::c_int, attr: &T) -> Result<RawFd> {
    // SAFETY: As the caller promises; the kernel reads as many bytes as `attr` has.
    let done = unsafe { libc::syscall(libc::SYS_bpf, command, attr, size_of::<T>()) };
    Ok(Errno::result(done)? as RawFd)
}

/// A map of BPF storage that accepted connections get copies of.
#[derive(Debug)]
pub struct SkStorage(OwnedFd);

impl SkStorage {
    /// Makes a map of numbers.
    pub fn cloning() -> Result<Self> {
        let load = BtfLoad {
            btf: BTF.as_ptr() as u64,
            log: 0,
            size: size_of_val(&BTF) as u32,
            log_size: 0,
            log_level: 0,
            pad: 0,
        };
        // SAFETY: The kernel reads `BTF`; the command returns a descriptor, which nothing else
        // owns.
        let btf = unsafe { OwnedFd::from_raw_fd(bpf(BTF_LOAD, &load)?) };
        let create = MapCreate {
            kind: SK_STORAGE,
            key_size: 4,
            value_size: 4,
            max_entries: 0,
            flags: NO_PREALLOC | CLONE,
            unused: [0; 2],
            name: [0; 16],
            ifindex: 0,
            btf_fd: btf.as_raw_fd(),
            key_type: 1,
            value_type: 1,
            pad: 0,
        };
        // SAFETY: There is no address in it; the command returns a descriptor, which nothing else
        // owns.
        Ok(Self(unsafe {
            OwnedFd::from_raw_fd(bpf(MAP_CREATE, &create)?)
        }))
    }

    /// Stores a number for a socket.
    pub fn store(&self, socket: &impl AsFd, number: u32) -> Result<()> {
        let fd = socket.as_fd().as_raw_fd();
        let update = MapUpdate {
            map: self.0.as_raw_fd(),
            pad: 0,
            key: (&raw const fd) as u64,
            value: (&raw const number) as u64,
            flags: 0,
        };
        // SAFETY: The kernel reads a descriptor's number and a value, of 4 bytes each.
        unsafe { bpf(MAP_UPDATE_ELEM, &update) }.map(drop)
    }
}
