// SPDX-License-Identifier: GPL-2.0
//! What needs `unsafe`: memory that the kernel may do anything to, calls with any
//! argument, descriptors by bare number, and KCOV.
//! Nothing outside this directory holds any.

pub(crate) mod arena;
pub(crate) mod call;
pub(crate) mod descriptor;
pub(crate) mod kcov;
