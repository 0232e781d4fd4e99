// SPDX-License-Identifier: GPL-2.0
//! Generates the Rust side of the UAPI header with bindgen.

use std::env;
use std::fs;
use std::path::PathBuf;

use bindgen::callbacks::{DeriveInfo, ParseCallbacks};

const INCLUDE: &str = "../../include/uapi";

/// The headers, the prefix of each one's commands, and what the constants are called
/// that have the commands' numbers.
const HEADERS: [(&str, &str, &str); 2] = [
    ("linux/owner_storage.h", "OSTOR_IOC_", "OSTOR_CMD_"),
    (
        "linux/owner_storage_torture.h",
        "OSTOR_TORTURE_IOC_",
        "OSTOR_TORTURE_CMD_",
    ),
];

/// Lets every structure be printed as JSON.
#[derive(Debug)]
struct Serializable;

impl ParseCallbacks for Serializable {
    fn add_derives(&self, _info: &DeriveInfo<'_>) -> Vec<String> {
        vec!["serde::Serialize".into()]
    }
}

/// The names of a header's commands, without the prefix.
fn commands<'a>(header: &'a str, prefix: &str) -> Vec<&'a str> {
    let define = format!("#define {prefix}");
    let names = header.lines().filter_map(|line| {
        let rest = line.strip_prefix(&define)?;
        rest.split_whitespace().next()
    });
    names.filter(|name| *name != "MAGIC").collect()
}

/// One constant per command, for bindgen. The macro of a command holds a `sizeof`, which
/// bindgen evaluates as the value of a constant, but not as a macro.
fn command_constants(names: &[&str], prefix: &str, constant: &str) -> String {
    let constant =
        |name| format!("static const unsigned long {constant}{name} = {prefix}{name};\n");
    names.iter().map(constant).collect()
}

/// All commands as a list of names and numbers.
fn command_list(names: &[&str], constant: &str) -> String {
    let entries = names
        .iter()
        .map(|name| format!("(\"{name}\", {constant}{name})"));
    let entries = entries.collect::<Vec<_>>().join(", ");
    let list = constant.replace("OSTOR_", "").replace("CMD_", "COMMANDS");
    format!("pub const {list}: &[(&str, u64)] = &[{entries}];")
}

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let mut source = String::new();
    let mut builder = bindgen::builder();
    for (header, prefix, constant) in HEADERS {
        let path = format!("{INCLUDE}/{header}");
        println!("cargo::rerun-if-changed={path}");
        let text = fs::read_to_string(path).expect("the UAPI header is readable");
        let names = commands(&text, prefix);
        source += &format!("#include <{header}>\n");
        source += &command_constants(&names, prefix, constant);
        builder = builder.raw_line(command_list(&names, constant));
    }
    builder
        .header_contents("uapi.h", &source)
        .clang_arg(format!("-I{INCLUDE}"))
        .allowlist_item("(ostor|OSTOR)_.*")
        .parse_callbacks(Box::new(Serializable))
        .derive_default(true)
        .derive_eq(true)
        .generate_comments(false)
        .prepend_enum_name(false)
        .generate()
        .expect("the UAPI headers are valid C")
        .write_to_file(PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo")).join("uapi.rs"))
        .expect("the output directory is writable");
}
