// SPDX-License-Identifier: GPL-2.0
//! The command line as far as it needs no device: usage errors, a missing module, and an
//! output that cannot be written.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use nix::unistd::pipe;
use ostor::device::DEVICE;
use serde_json::{Value, json};

/// Exit statuses, as `ostor --help` has them.
const USAGE: i32 = 2;
const NO_DEVICE: i32 = 3;
const SYSTEM: i32 = 6;

fn ostor(arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ostor"));
    command
        .args(arguments.split_whitespace())
        .env_remove("OSTOR_MAP");
    command
}

/// Asserts a status, and returns what was printed on standard error.
#[track_caller]
fn failed(output: &Output, status: i32) -> String {
    assert_eq!(output.status.code(), Some(status), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Whether the tests that need a missing module can run.
fn has_no_module() -> bool {
    !Path::new(DEVICE).exists()
}

#[test]
fn a_usage_error_is_json_too() {
    let output = ostor("--json map create m --value-size 0")
        .output()
        .unwrap();
    let error: Value = serde_json::from_str(&failed(&output, USAGE)).unwrap();
    let text = error["error"].as_str().unwrap();
    assert!(text.contains("a value has 1 to 8064 bytes"), "{text}");
    assert_eq!(
        (&error["status"], &error["errno"]),
        (&json!(2), &json!(null))
    );
    // After `--` the word is a value.
    let output = ostor("set -m m self -- --json --json").output().unwrap();
    assert!(failed(&output, USAGE).starts_with("ostor: unexpected argument"));
}

#[test]
fn a_list_needs_a_map_or_an_owner() {
    let text = failed(&ostor("list").output().unwrap(), USAGE);
    assert!(text.contains("--map <NAME>|--owner <OWNER>"), "{text}");
}

#[test]
fn without_the_module_every_command_says_so() {
    for arguments in ["map ls", "stats", "list --owner self", "watch maps", "demo"] {
        if has_no_module() {
            let text = failed(&ostor(arguments).output().unwrap(), NO_DEVICE);
            let words: Vec<_> = text.split_whitespace().collect();
            let text = words.join(" ");
            assert!(
                text.contains("the module is not loaded"),
                "{arguments}: {text}"
            );
            assert!(
                text.contains("insmod owner_storage.ko"),
                "{arguments}: {text}"
            );
        }
    }
}

#[test]
fn a_full_disk_is_an_error_with_a_message() {
    let full = || File::create("/dev/full").unwrap();
    let output = ostor("--help").stdout(full()).output().unwrap();
    let text = failed(&output, SYSTEM);
    assert!(text.contains("cannot write to standard output"), "{text}");
    assert!(text.contains("No space left"), "{text}");
    // An error message that cannot be written changes no status.
    let status = ostor("list").stderr(full()).status().unwrap();
    assert_eq!(status.code(), Some(USAGE));
}

#[test]
fn a_closed_pipe_is_an_error_without_a_message() {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    let mut command = ostor("--help");
    let output = command
        .stdout(Stdio::from(writer))
        .stderr(Stdio::piped())
        .output();
    assert_eq!(failed(&output.unwrap(), SYSTEM), "");
}
