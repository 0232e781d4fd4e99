// SPDX-License-Identifier: GPL-2.0

//! The kinds of owners, and who calls.

pub(crate) mod caller;
pub(crate) mod phantom;
pub(crate) mod task;
