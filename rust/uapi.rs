// SPDX-License-Identifier: GPL-2.0

//! The ioctl interface, generated from `include/uapi/linux/owner_storage.h` during the build.

use kernel::{
    ioctl::{
        _IOR,
        _IOW,
        _IOWR, //
    },
    transmute::{
        AsBytes,
        FromBytes, //
    }, //
};

#[allow(clippy::all, missing_docs, unreachable_pub, dead_code)]
#[allow(clippy::undocumented_unsafe_blocks, non_camel_case_types)]
mod generated {
    use kernel::ffi;

    include!(concat!(env!("OSTOR_GENERATED"), "/uapi_generated.rs"));
}

pub(crate) use generated::*;

/// States the size that the ABI gives a structure, and that it is bytes and nothing else.
macro_rules! plain {
    ($($name:ident: $size:literal,)*) => {
        $(
            const _: () = assert!(size_of::<$name>() == $size && align_of::<$name>() == 8);
            // SAFETY: Integers without padding, which the size shows: any bytes are a value.
            unsafe impl FromBytes for $name {}
            // SAFETY: Likewise, all bytes are initialised.
            unsafe impl AsBytes for $name {}
        )*
    };
}

plain! {
    ostor_owner: 16,
    ostor_map_create: 32,
    ostor_elem: 48,
    ostor_entry: 24,
    ostor_list: 56,
    ostor_owned: 24,
    ostor_list_owner: 48,
    ostor_map_info: 152,
    ostor_stats: 160,
    ostor_op: 40,
    ostor_recurse: 104,
    ostor_bench: 64,
    ostor_fault: 88,
    ostor_crowd: 72,
    ostor_ages: 80,
    ostor_tally: 328,
    ostor_context_cpu: 680,
    ostor_context: 64,
    ostor_cycle_cpu: 16,
    ostor_cycle: 112,
}

const MAGIC: u32 = OSTOR_IOC_MAGIC;

pub(crate) const MAP_CREATE: u32 = _IOW::<ostor_map_create>(MAGIC, 0x00);
pub(crate) const MAP_INFO: u32 = _IOR::<ostor_map_info>(MAGIC, 0x01);
pub(crate) const LOOKUP: u32 = _IOWR::<ostor_elem>(MAGIC, 0x02);
pub(crate) const GET_OR_CREATE: u32 = _IOWR::<ostor_elem>(MAGIC, 0x03);
pub(crate) const UPDATE: u32 = _IOWR::<ostor_elem>(MAGIC, 0x04);
pub(crate) const DELETE: u32 = _IOWR::<ostor_elem>(MAGIC, 0x05);
pub(crate) const TAKE: u32 = _IOWR::<ostor_elem>(MAGIC, 0x06);
pub(crate) const LIST: u32 = _IOWR::<ostor_list>(MAGIC, 0x07);
pub(crate) const STATS: u32 = _IOR::<ostor_stats>(MAGIC, 0x08);
/// With the size of before `pending` was there.
pub(crate) const SHORT_STATS: u32 = _IOR::<[u64; 18]>(MAGIC, 0x08);
pub(crate) const RECURSE: u32 = _IOWR::<ostor_recurse>(MAGIC, 0x09);
pub(crate) const BENCH: u32 = _IOWR::<ostor_bench>(MAGIC, 0x0a);
pub(crate) const LIST_OWNER: u32 = _IOWR::<ostor_list_owner>(MAGIC, 0x0b);
#[cfg(OSTOR_TEST)]
pub(crate) const FAULT: u32 = _IOWR::<ostor_fault>(MAGIC, 0x0c);
pub(crate) const CONTEXT: u32 = _IOW::<ostor_context>(MAGIC, 0x0d);
pub(crate) const CYCLE: u32 = _IOWR::<ostor_cycle>(MAGIC, 0x0e);
#[cfg(OSTOR_TEST)]
pub(crate) const CROWD: u32 = _IOWR::<ostor_crowd>(MAGIC, 0x0f);
#[cfg(OSTOR_TEST)]
pub(crate) const AGES: u32 = _IOWR::<ostor_ages>(MAGIC, 0x10);
