// SPDX-License-Identifier: GPL-2.0
// error: E0423

//! As `forged_module`, by the constructor of the type.

use kernel::prelude::*;
use owner_storage::api::Map;

#[cfg(MISUSE)]
static NONE: ThisModule = ThisModule(core::ptr::null_mut());

/// Makes a map of no module, or of the one that the loader has passed to `init()`.
pub fn new(module: &'static ThisModule) -> Result<Map<u64>> {
    #[cfg(MISUSE)]
    let module = {
        let _ = module;
        &NONE
    };
    Map::new(module)
}
