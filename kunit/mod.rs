// SPDX-License-Identifier: GPL-2.0

//! KUnit suites, in the test flavour for kernels that have KUnit.
//!
//! They are for what the models (`model/`) cannot see: the kernel's own locks, allocator, RCU,
//! kworkers and hooks. The table of promises in `Documentation/testing.rst` says which layer tests
//! what.
//!
//! An assertion that fails ends its thread without running destructors. So what a test shares with
//! the module is on the heap.

mod ages;
mod chains;
#[allow(dead_code, reason = "the torture module uses the rest")]
#[path = "../torture/context.rs"]
mod context;
mod fault_sites;
mod hooks;
mod inject;
mod inside;
mod lock_order;
mod mock;
mod mock_owner;
mod module_maps;
mod owner_ref;
#[allow(dead_code, reason = "the torture module uses the rest")]
#[path = "../torture/probes.rs"]
mod probes;
#[cfg(CONFIG_DYNAMIC_FTRACE_WITH_ARGS)]
mod shared_maps;
mod storage_faults;
mod storage_reaper;
mod storage_values;
mod sync;
mod unfinished_owners;
mod value_keeps_owner;
