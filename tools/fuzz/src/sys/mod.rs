// SPDX-License-Identifier: GPL-2.0
//! All `unsafe` code: memory that the kernel may write to, calls with any argument,
//! descriptors by number, and KCOV.

pub(crate) mod arena;
pub(crate) mod call;
pub(crate) mod descriptor;
pub(crate) mod kcov;
