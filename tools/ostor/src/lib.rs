// SPDX-License-Identifier: GPL-2.0
//! Safe access to `/dev/owner_storage` and to its test drivers, and what the tools
//! `ostor` and `ostor-torture`, the selftests and the fuzzer share.

pub mod cgroup;
pub mod device;
pub mod exit;
pub mod histogram;
pub mod interrupt;
pub mod kernel;
pub mod netns;
pub mod object;
pub mod optmem;
pub mod output;
pub mod process;
pub mod program;
pub mod progress;
pub mod random;
pub mod recursion;
pub mod report;
pub mod settle;
pub mod socket_maker;
pub mod sys;
pub mod text;
pub mod torture;
