// SPDX-License-Identifier: GPL-2.0

//! The ioctl interface, generated from `include/uapi/linux/owner_storage.h` during the build.

#[macro_use]
mod plain;

use kernel::ioctl::{
    _IOR,
    _IOW,
    _IOWR, //
};

#[allow(clippy::all, missing_docs, unreachable_pub, dead_code)]
#[allow(clippy::undocumented_unsafe_blocks, non_camel_case_types)]
mod generated {
    use kernel::ffi;

    include!(concat!(env!("OSTOR_GENERATED"), "/uapi_generated.rs"));
}

pub use generated::ostor_owner;
pub(crate) use generated::*;

plain! {
    ostor_owner: 16,
    ostor_map_create: 32,
    ostor_elem: 48,
    ostor_entry: 24,
    ostor_list: 56,
    ostor_owned: 24,
    ostor_list_owner: 48,
    ostor_map_info: 152,
    ostor_listed_map: 88,
    ostor_map_list: 32,
    ostor_stats: 160,
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
pub(crate) const LIST_OWNER: u32 = _IOWR::<ostor_list_owner>(MAGIC, 0x0b);
pub(crate) const MAP_LIST: u32 = _IOWR::<ostor_map_list>(MAGIC, 0x11);
