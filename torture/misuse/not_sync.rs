// SPDX-License-Identifier: GPL-2.0
// error: E0277

//! Values that one thread at a time may use. All CPUs find them.

use kernel::prelude::*;
use owner_storage::api::Map;

#[cfg(MISUSE)]
type Value = core::cell::Cell<u64>;
#[cfg(not(MISUSE))]
type Value = kernel::sync::atomic::Atomic<u64>;

/// A map of counts.
pub fn new(module: &'static ThisModule) -> Result<Map<Value>> {
    Map::new(module)
}
