// SPDX-License-Identifier: GPL-2.0
// error: E0277

//! Values that must stay on their thread. A kworker drops them.

use core::marker::PhantomData;
use kernel::prelude::*;
use owner_storage::api::Map;

#[cfg(MISUSE)]
type Tied = PhantomData<*mut u64>;
#[cfg(not(MISUSE))]
type Tied = PhantomData<u64>;

/// A value that any thread may read.
pub struct Value(Tied);

// SAFETY: A reference gives access to nothing.
unsafe impl Sync for Value {}

/// A map of values that are `Send`, or not.
pub fn new(module: &'static ThisModule) -> Result<Map<Value>> {
    Map::new(module)
}
