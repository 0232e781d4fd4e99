// SPDX-License-Identifier: GPL-2.0
// error: E0521

//! A map of a module that may go before the map.

use kernel::prelude::*;
use owner_storage::api::Map;

#[cfg(MISUSE)]
type Module<'a> = &'a ThisModule;
#[cfg(not(MISUSE))]
type Module<'a> = &'static ThisModule;

/// Makes a map.
pub fn new(module: Module<'_>) -> Result<Map<u64>> {
    Map::new(module)
}
