// SPDX-License-Identifier: GPL-2.0

//! Bindings of the C shim, which bindgen makes of `shim.h` during the build.
//!
//! Only [`crate::sync`] and [`crate::owner`] call these functions, and `device::bpf`, which
//! `kfuncs.c` calls.

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

/// What BPF programs know of a map.
#[repr(C)]
pub struct ostor_bpf_map {
    pub id: u64,
}

include!(concat!(env!("OSTOR_GENERATED"), "/shim_generated.rs"));
