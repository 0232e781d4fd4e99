// SPDX-License-Identifier: GPL-2.0

//! The model is of the test flavour: what only tests use is there.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-cfg=OSTOR_TEST");
}
