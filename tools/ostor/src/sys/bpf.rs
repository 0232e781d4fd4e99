// SPDX-License-Identifier: GPL-2.0
//! BPF socket storage, which a socket can have beside this module's.

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

/// `BPF_F_NO_PREALLOC`, which these maps require.
const NO_PREALLOC: u32 = 1;

/// `BPF_F_CLONE`: accepted sockets get copies.
const CLONE: u32 = 1 << 9;

/// BTF of the type of key and value: an `int` of 32 bits, type 1.
const BTF: [u32; 12] = [
    // Magic number, version 1, no flags; the length of this header.
    u32::from_ne_bytes(magic()),
    24,
    // Offset and length of the types; offset and length of the names.
    0,
    16,
    16,
    8,
    // Name at offset 1, kind 1, 4 bytes; signed, 32 bits.
    1,
    1 << 24,
    4,
    (1 << 24) | 32,
    // The names: an empty one, and "int".
    u32::from_ne_bytes(*b"\0int"),
    0,
];

/// The first four bytes of [`BTF`].
const fn magic() -> [u8; 4] {
    let [low, high] = 0xeb9f_u16.to_ne_bytes();
    [low, high, 1, 0]
}

/// The part of `union bpf_attr` that loads BTF.
#[repr(C)]
struct BtfLoad {
    btf: u64,
    log: u64,
    size: u32,
    log_size: u32,
    log_level: u32,
    pad: u32,
}

/// The part of `union bpf_attr` that creates a map.
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

/// The part of `union bpf_attr` that stores a value.
#[repr(C)]
struct MapUpdate {
    map: RawFd,
    pad: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// Calls `bpf()`. The meaning of the returned number depends on the command.
///
/// # Safety
///
/// `T` is the part of `union bpf_attr` that the command uses, and each address in it is that
/// of memory that the command may read.
unsafe fn bpf<T>(command: libc::c_int, attr: &T) -> Result<RawFd> {
    // SAFETY: The kernel reads `size_of::<T>()` bytes of `attr`, and the caller guarantees
    // that the addresses in it are valid.
    let done = unsafe { libc::syscall(libc::SYS_bpf, command, attr, size_of::<T>()) };
    Ok(Errno::result(done)? as RawFd)
}

/// A map of BPF socket storage whose values are copied to accepted sockets.
#[derive(Debug)]
pub struct SkStorage(OwnedFd);

impl SkStorage {
    /// Creates a map of numbers.
    pub fn cloning() -> Result<Self> {
        let load = BtfLoad {
            btf: BTF.as_ptr() as u64,
            log: 0,
            size: size_of_val(&BTF) as u32,
            log_size: 0,
            log_level: 0,
            pad: 0,
        };
        // SAFETY: The address is that of `BTF`, of `size` bytes. The command returns a new
        // descriptor, which no other object owns.
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
        // SAFETY: `create` contains no address. The command returns a new descriptor, which
        // no other object owns.
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
        // SAFETY: The addresses are those of `fd` and `number`. The kernel reads 4 bytes of
        // each.
        unsafe { bpf(MAP_UPDATE_ELEM, &update) }.map(drop)
    }
}
