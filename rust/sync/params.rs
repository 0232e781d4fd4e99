// SPDX-License-Identifier: GPL-2.0

//! The parameters of the module, as they were given when it was loaded.

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
    /// Buckets of a map, as a power of two: 4 to 20.
    map_bits = ostor_param_map_bits,
    /// Buckets of the owner index, as a power of two: 4 to 20.
    index_bits = ostor_param_index_bits,
    /// KiB that may wait to be freed before grace periods are hurried; 0 for the default.
    pending_hurry = ostor_param_pending_hurry,
    /// KiB that may wait to be freed before creation waits or fails; 0 for the default.
    pending_limit = ostor_param_pending_limit,
    /// Bits `1 << number` of the kinds whose notices of death are lost.
    #[cfg(OSTOR_TEST)]
    mute_deaths = ostor_param_mute_deaths,
    /// The same, while the module is loaded.
    #[cfg(OSTOR_TEST)]
    mute_startup = ostor_param_mute_startup,
}
