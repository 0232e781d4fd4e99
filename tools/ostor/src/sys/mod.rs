// SPDX-License-Identifier: GPL-2.0
//! System calls without a safe wrapper: the device's ioctls, processes, received
//! descriptors, pages, priorities, BPF, and socket options. Only this folder and
//! [`crate::torture::ioctl`] have `unsafe` code.

pub mod bpf;
pub mod ioctl;
pub mod page;
pub mod pass;
pub mod process;
pub mod sched;
pub mod socket;
