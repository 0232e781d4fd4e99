// SPDX-License-Identifier: GPL-2.0

//! The parameters with which the module was loaded.

use crate::shim;

macro_rules! params {
    ($($(#[$attr:meta])* $name:ident = $get:ident,)*) => {
        $(
            $(#[$attr])*
            pub(crate) fn $name() -> u32 {
                // SAFETY: An FFI call with no requirement.
                unsafe { shim::$get() }
            }
        )*
    };
}

params! {
    /// Binary logarithm of the buckets of a map: 4 to 20.
    map_bits = ostor_param_map_bits,
    /// Binary logarithm of the buckets of the owner index: 4 to 20.
    index_bits = ostor_param_index_bits,
    /// KiB that may wait to be freed before grace periods are expedited; 0 for the default.
    pending_hurry = ostor_param_pending_hurry,
    /// KiB that may wait to be freed before creates wait or fail; 0 for the default.
    pending_limit = ostor_param_pending_limit,
    /// Bits `1 << kind` of the kinds whose notices of death are lost.
    #[cfg(OSTOR_TEST)]
    mute_deaths = ostor_param_mute_deaths,
    /// The same, during the startup test.
    #[cfg(OSTOR_TEST)]
    mute_startup = ostor_param_mute_startup,
}
