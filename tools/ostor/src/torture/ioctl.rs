// SPDX-License-Identifier: GPL-2.0
//! One function per ioctl of the test drivers.
//!
//! As in [`crate::sys::ioctl`], arguments are passed on unchecked, so that a test can
//! pass ones that the driver must refuse. A driver that works on a map takes the map's
//! descriptor beside its argument.

#![expect(unsafe_code, reason = "the ioctl boundary")]

use std::os::fd::{AsFd, BorrowedFd};

use nix::Result;
use uapi::{
    ostor_ages, ostor_bench, ostor_context, ostor_context_cpu, ostor_crowd, ostor_cycle,
    ostor_fault, ostor_op, ostor_recurse,
};

use super::TortureDevice;
use crate::sys::ioctl::{Buffer, ioctl, plain};

/// `OSTOR_IOC_RECURSE`
pub fn recurse(_: &TortureDevice, map: BorrowedFd<'_>, arg: &mut ostor_recurse) -> Result<()> {
    plain(map, uapi::OSTOR_CMD_RECURSE, arg)
}

/// `OSTOR_IOC_BENCH`
pub fn bench(_: &TortureDevice, map: BorrowedFd<'_>, arg: &mut ostor_bench) -> Result<()> {
    plain(map, uapi::OSTOR_CMD_BENCH, arg)
}

/// `OSTOR_IOC_AGES`
pub fn ages(_: &TortureDevice, map: BorrowedFd<'_>, arg: &mut ostor_ages) -> Result<()> {
    plain(map, uapi::OSTOR_CMD_AGES, arg)
}

/// `OSTOR_IOC_FAULT`
pub fn fault(device: &TortureDevice, arg: &mut ostor_fault) -> Result<()> {
    plain(device.as_fd(), uapi::OSTOR_CMD_FAULT, arg)
}

/// `OSTOR_IOC_CROWD`
pub fn mass_exit(device: &TortureDevice, arg: &mut ostor_crowd) -> Result<()> {
    plain(device.as_fd(), uapi::OSTOR_CMD_CROWD, arg)
}

/// `OSTOR_IOC_CYCLE`
pub fn cycle(device: &TortureDevice, arg: &mut ostor_cycle) -> Result<()> {
    plain(device.as_fd(), uapi::OSTOR_CMD_CYCLE, arg)
}

/// `OSTOR_IOC_CONTEXT`: runs `ops` and writes one item of `results` per CPU.
pub fn context(
    _: &TortureDevice,
    map: BorrowedFd<'_>,
    arg: &mut ostor_context,
    mut ops: Buffer<'_, ostor_op>,
    mut results: Buffer<'_, ostor_context_cpu>,
) -> Result<()> {
    arg.ops = ops.address(arg.ops_count);
    arg.results = results.address(arg.cpus.count_ones());
    // SAFETY: `arg` is of the type that the command takes. The kernel reads `ops_count`
    // items of `ops` and writes one item of `results` for each bit of `cpus`;
    // `Buffer::address` has checked that the buffers are that long.
    unsafe { ioctl(map, uapi::OSTOR_CMD_CONTEXT, arg) }
}
