// SPDX-License-Identifier: GPL-2.0

//! The kinds of owners, and who calls.

pub(crate) mod caller;
pub(crate) mod cgroup;
#[cfg(OSTOR_CREATION)]
pub(crate) mod creation;
#[cfg(OSTOR_TEST)]
pub(crate) mod crowd;
pub(crate) mod hook;
pub(crate) mod kinds;
#[cfg(OSTOR_TEST)]
pub(crate) mod last_put;
pub(crate) mod netns;
mod object;
pub(crate) mod phantom;
pub(crate) mod socket;
pub(crate) mod startup_test;
mod task;
