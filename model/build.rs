// SPDX-License-Identifier: GPL-2.0

//! The model compiles the test flavour, which has the parts that only tests use.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-cfg=OSTOR_TEST");
}
