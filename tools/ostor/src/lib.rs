// SPDX-License-Identifier: GPL-2.0
//! Safe access to `/dev/owner_storage`, and what the `ostor` tool and the
//! guest tests share.

pub mod device;
pub mod process;
pub mod recursion;
pub mod settle;
pub mod sys;
