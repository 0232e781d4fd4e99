// SPDX-License-Identifier: GPL-2.0
//! One function per ioctl of the test drivers.
//!
//! As in [`crate::sys::ioctl`], arguments are passed on unchecked, so that a test can
//! pass ones that the driver must refuse.

#![expect(unsafe_code, reason = "the ioctl boundary")]

use std::os::fd::AsFd;

use nix::Result;
use uapi::{
    ostor_ages, ostor_bench, ostor_context, ostor_context_cpu, ostor_cycle, ostor_fault,
    ostor_mass_exit, ostor_op, ostor_recurse,
};

use super::TortureDevice;
use crate::sys::ioctl::{Buffer, ioctl, plain};

/// `OSTOR_TORTURE_IOC_OP`
pub fn op(device: &TortureDevice, arg: &mut ostor_op) -> Result<()> {
    plain(device.as_fd(), uapi::OSTOR_TORTURE_CMD_OP, arg)
}

/// `OSTOR_TORTURE_IOC_RECURSE`
pub fn recurse(device: &TortureDevice, arg: &mut ostor_recurse) -> Result<()> {
    plain(device.as_fd(), uapi::OSTOR_TORTURE_CMD_RECURSE, arg)
}

/// `OSTOR_TORTURE_IOC_BENCH`
pub fn bench(device: &TortureDevice, arg: &mut ostor_bench) -> Result<()> {
    plain(device.as_fd(), uapi::OSTOR_TORTURE_CMD_BENCH, arg)
}

/// `OSTOR_TORTURE_IOC_AGES`
pub fn ages(device: &TortureDevice, arg: &mut ostor_ages) -> Result<()> {
    plain(device.as_fd(), uapi::OSTOR_TORTURE_CMD_AGES, arg)
}

/// `OSTOR_TORTURE_IOC_FAULT`
pub fn fault(device: &TortureDevice, arg: &mut ostor_fault) -> Result<()> {
    plain(device.as_fd(), uapi::OSTOR_TORTURE_CMD_FAULT, arg)
}

/// `OSTOR_TORTURE_IOC_MASS_EXIT`
pub fn mass_exit(device: &TortureDevice, arg: &mut ostor_mass_exit) -> Result<()> {
    plain(device.as_fd(), uapi::OSTOR_TORTURE_CMD_MASS_EXIT, arg)
}

/// `OSTOR_TORTURE_IOC_CYCLE`
pub fn cycle(device: &TortureDevice, arg: &mut ostor_cycle) -> Result<()> {
    plain(device.as_fd(), uapi::OSTOR_TORTURE_CMD_CYCLE, arg)
}

/// `OSTOR_TORTURE_IOC_CONTEXT`: runs `ops` and writes one item of `results` per CPU.
pub fn context(
    device: &TortureDevice,
    arg: &mut ostor_context,
    mut ops: Buffer<'_, ostor_op>,
    mut results: Buffer<'_, ostor_context_cpu>,
) -> Result<()> {
    arg.ops = ops.address(arg.ops_count);
    arg.results = results.address(arg.cpus.count_ones());
    // SAFETY: `arg` is of the type that the command takes. The kernel reads `ops_count`
    // items of `ops` and writes one item of `results` for each bit of `cpus`;
    // `Buffer::address` has checked that the buffers are that long.
    unsafe { ioctl(device.as_fd(), uapi::OSTOR_TORTURE_CMD_CONTEXT, arg) }
}
