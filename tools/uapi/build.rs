// SPDX-License-Identifier: GPL-2.0
//! Generates the Rust side of the UAPI header with bindgen.

use std::env;
use std::fs;
use std::path::PathBuf;

use bindgen::callbacks::{DeriveInfo, ParseCallbacks};

const HEADER: &str = "../../include/uapi/linux/owner_storage.h";

/// Lets every structure be printed as JSON.
#[derive(Debug)]
struct Serializable;

impl ParseCallbacks for Serializable {
    fn add_derives(&self, _info: &DeriveInfo<'_>) -> Vec<String> {
        vec!["serde::Serialize".into()]
    }
}

/// The names of the `OSTOR_IOC_*` commands, without that.
fn commands(header: &str) -> impl Iterator<Item = &str> {
    let names = header.lines().filter_map(|line| {
        let rest = line.strip_prefix("#define OSTOR_IOC_")?;
        rest.split_whitespace().next()
    });
    names.filter(|name| *name != "MAGIC")
}

/// All commands as a list of names and numbers.
fn command_list(header: &str) -> String {
    let entries = commands(header).map(|name| format!("(\"{name}\", OSTOR_CMD_{name})"));
    let entries = entries.collect::<Vec<_>>().join(", ");
    format!("pub const COMMANDS: &[(&str, u64)] = &[{entries}];")
}

/// One constant `OSTOR_CMD_*` per `OSTOR_IOC_*` command. Their macros hold a `sizeof`, which bindgen
/// does not evaluate as a macro but does as the value of a constant.
fn command_constants(header: &str) -> String {
    let constant =
        |name| format!("static const unsigned long OSTOR_CMD_{name} = OSTOR_IOC_{name};\n");
    commands(header).map(constant).collect()
}

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={HEADER}");

    let header = fs::read_to_string(HEADER).expect("the UAPI header is readable");
    bindgen::builder()
        .header_contents(
            "uapi.h",
            &format!("{header}\n{}", command_constants(&header)),
        )
        .allowlist_item("(ostor|OSTOR)_.*")
        .parse_callbacks(Box::new(Serializable))
        .derive_default(true)
        .derive_eq(true)
        .generate_comments(false)
        .prepend_enum_name(false)
        .raw_line(command_list(&header))
        .generate()
        .expect("the UAPI header is valid C")
        .write_to_file(PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo")).join("uapi.rs"))
        .expect("the output directory is writable");
}
