// SPDX-License-Identifier: GPL-2.0
//! The system calls that need `unsafe`: the device's ioctls, processes,
//! received descriptors, memory of its own, priorities, BPF, and what sockets tell.
//! Nothing outside this directory holds any.

pub mod bpf;
pub mod ioctl;
pub mod page;
pub mod pass;
pub mod process;
pub mod sched;
pub mod socket;
