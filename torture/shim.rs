// SPDX-License-Identifier: GPL-2.0

//! Bindings of the C shim, generated from `shim.h` during the build.

#![allow(clippy::all, missing_docs, non_camel_case_types, unreachable_pub)]
#![allow(
    clippy::undocumented_unsafe_blocks,
    non_upper_case_globals,
    improper_ctypes,
    dead_code
)]

use kernel::{
    bindings::*,
    ffi, //
};

include!(concat!(
    env!("OSTOR_TORTURE_GENERATED"),
    "/shim_generated.rs"
));
