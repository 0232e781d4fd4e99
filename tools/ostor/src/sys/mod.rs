// SPDX-License-Identifier: GPL-2.0
//! The system calls that need `unsafe`: the device's ioctls,
//! processes, and received descriptors.
//! Nothing outside this directory holds any.

pub mod ioctl;
pub mod pass;
pub mod process;
