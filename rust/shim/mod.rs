// SPDX-License-Identifier: GPL-2.0

//! Bindings of the C shim, which bindgen makes of `shim.h` during the build.
//!
//! Only [`crate::sync`] and [`crate::owner`] call these functions.

#![allow(clippy::all, missing_docs, non_camel_case_types, unreachable_pub)]
#![allow(
    clippy::undocumented_unsafe_blocks,
    non_upper_case_globals,
    improper_ctypes
)]

use kernel::{
    bindings::*,
    ffi, //
};

include!(concat!(env!("OSTOR_GENERATED"), "/shim_generated.rs"));
