// SPDX-License-Identifier: GPL-2.0

//! The ioctl interface, generated from `include/uapi/linux/owner_storage_torture.h` during the
//! build.

#[macro_use]
#[path = "../rust/uapi/plain.rs"]
mod plain;

use kernel::ioctl::{
    _IOW,
    _IOWR, //
};

#[allow(clippy::all, missing_docs, unreachable_pub, dead_code)]
#[allow(clippy::undocumented_unsafe_blocks, non_camel_case_types)]
mod generated {
    use kernel::ffi;
    use owner_storage::device::ostor_owner;

    include!(concat!(
        env!("OSTOR_TORTURE_GENERATED"),
        "/uapi_generated.rs"
    ));
}

pub(crate) use generated::*;

plain! {
    ostor_op: 40,
    ostor_recurse: 104,
    ostor_bench: 64,
    ostor_fault: 88,
    ostor_mass_exit: 72,
    ostor_ages: 80,
    ostor_op_stats: 328,
    ostor_context_cpu: 680,
    ostor_context: 64,
    ostor_cycle_cpu: 16,
    ostor_cycle: 112,
}

const MAGIC: u32 = OSTOR_TORTURE_IOC_MAGIC;

pub(crate) const OP: u32 = _IOWR::<ostor_op>(MAGIC, 0x00);
pub(crate) const RECURSE: u32 = _IOWR::<ostor_recurse>(MAGIC, 0x01);
pub(crate) const BENCH: u32 = _IOWR::<ostor_bench>(MAGIC, 0x02);
#[cfg(OSTOR_TEST)]
pub(crate) const FAULT: u32 = _IOWR::<ostor_fault>(MAGIC, 0x03);
pub(crate) const CONTEXT: u32 = _IOW::<ostor_context>(MAGIC, 0x04);
pub(crate) const CYCLE: u32 = _IOWR::<ostor_cycle>(MAGIC, 0x05);
pub(crate) const MASS_EXIT: u32 = _IOWR::<ostor_mass_exit>(MAGIC, 0x06);
#[cfg(OSTOR_TEST)]
pub(crate) const AGES: u32 = _IOWR::<ostor_ages>(MAGIC, 0x07);
