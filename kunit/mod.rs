// SPDX-License-Identifier: GPL-2.0

//! KUnit suites, in the test flavour only, and for kernels that have KUnit.
//!
//! An assertion that fails ends its thread without running destructors, so what tests share with
//! the module is on the heap.

mod ages;
mod chains;
mod fault_sites;
mod half_made;
mod hooks;
mod inject;
mod lock_order;
mod mock;
mod own_owner;
mod storage_charge;
mod storage_crowd;
mod storage_faults;
mod storage_life;
mod storage_ops;
mod storage_owners;
mod storage_reaper;
mod sync;
