// SPDX-License-Identifier: GPL-2.0

//! The kinds of owners.

pub(crate) mod cgroup;
pub(crate) mod hook;
pub(crate) mod kinds;
#[cfg(OSTOR_TEST)]
pub(crate) mod last_put;
pub(crate) mod netns;
mod object;
pub(crate) mod owner_ref;
pub(crate) mod slot;
pub(crate) mod socket;
pub(crate) mod startup_test;
pub(crate) mod task;
mod two_notices;
