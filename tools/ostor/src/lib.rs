// SPDX-License-Identifier: GPL-2.0
//! Safe access to `/dev/owner_storage`, and what the `ostor` tool, the guest
//! tests and the fuzzer share.

pub mod cgroup;
pub mod device;
pub mod kernel;
pub mod netns;
pub mod object;
pub mod optmem;
pub mod process;
pub mod progress;
pub mod random;
pub mod recursion;
pub mod settle;
pub mod socket_maker;
pub mod sys;
pub mod text;
