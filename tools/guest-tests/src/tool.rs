// SPDX-License-Identifier: GPL-2.0
//! The `ostor` command, as a person and a script use it.

use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use ostor::device;
use ostor::process::Child;

use crate::needs;

crate::suite![
    a_map_by_name,
    json,
    exit_status,
    recurse,
    bench,
    demo,
    stress_fork_reap,
    stress_churn,
    stress_race_create,
];

fn ostor(arguments: &[&str]) -> Result<Output> {
    Command::new("ostor")
        .args(arguments)
        .output()
        .context("cannot run ostor")
}

/// What a command prints that succeeds.
fn printed(arguments: &[&str]) -> Result<String> {
    let output = ostor(arguments)?;
    ensure!(
        output.status.success(),
        "ostor {}: {output:?}",
        arguments.join(" ")
    );
    Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
}

/// A command succeeds and ends with this line.
fn passes(arguments: &[&str], last_line: &str) -> Result<()> {
    let text = printed(arguments)?;
    ensure!(text.lines().last() == Some(last_line), "{text}");
    Ok(())
}

#[track_caller]
fn assert_status(status: i32, arguments: &[&str], message: &str) {
    let output = ostor(arguments).unwrap();
    assert_eq!(
        output.status.code(),
        Some(status),
        "{arguments:?}: {output:?}"
    );
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(message), "{arguments:?}: {said}");
}

/// A map that is removed when the test ends, however it ends.
struct NamedMap;

impl NamedMap {
    const NAME: &str = "guest-test";

    fn create() -> Result<Self> {
        printed(&["map", "create", Self::NAME, "--value-size", "16"])?;
        Ok(Self)
    }
}

impl Drop for NamedMap {
    fn drop(&mut self) {
        let _ = ostor(&["map", "rm", Self::NAME]);
    }
}

fn a_map_by_name() -> Result<()> {
    let (_map, child) = (NamedMap::create()?, Child::idle()?);
    let owner = &format!("pid:{}", child.pid());
    let on = |command: &'static str, more: &[&str]| {
        let arguments = [&[command, "--map", NamedMap::NAME, owner], more].concat();
        printed(&arguments)
    };
    on("set", &["green", "--noexist"])?;
    assert_eq!(on("get", &[])?, "green");
    on("set", &["hex:00ff", "--exist"])?;
    assert_eq!(on("get", &["--create", "ignored"])?, "hex:00ff");
    let list = printed(&["list", "--map", NamedMap::NAME])?;
    assert!(
        list.contains(&format!("tid:{}", child.pid())) && list.contains("hex:00ff"),
        "{list}"
    );
    assert!(printed(&["map", "ls"])?.contains(NamedMap::NAME));
    let info = printed(&["map", "info", NamedMap::NAME])?;
    let elements = info.lines().find_map(|line| line.strip_prefix("elements "));
    assert_eq!(elements.map(str::trim), Some("1"), "{info}");
    assert_eq!(on("take", &[])?, "hex:00ff");
    on("set", &["again"])?;
    on("delete", &[])?;
    assert!(
        ostor(&["get", "-m", NamedMap::NAME, owner])?
            .stdout
            .is_empty()
    );

    assert_eq!(device::stats()?.maps, 1);
    printed(&["map", "rm", NamedMap::NAME])?;
    assert_eq!(
        device::stats()?.maps,
        0,
        "map rm returns when the map is gone"
    );
    Ok(())
}

fn json() -> Result<()> {
    let (_map, child) = (NamedMap::create()?, Child::idle()?);
    let owner = &format!("pid:{}", child.pid());
    let on = ["--json", "-m", NamedMap::NAME, owner];
    assert!(printed(&[&["set"], &on[..], &["green"]].concat())?.contains("\"created\": true"));
    assert!(printed(&[&["get"], &on[..]].concat())?.contains("\"text\": \"green\""));
    assert!(printed(&["stats", "--json"])?.contains("\"elements\": 1"));
    assert!(printed(&["list", "--json", "-m", NamedMap::NAME])?.contains("\"seq\": 1"));
    assert_status(
        4,
        &[&["set"], &on[..], &["x", "--noexist"]].concat(),
        "\"errno\":\"EEXIST\"",
    );
    Ok(())
}

fn exit_status() -> Result<()> {
    let _map = NamedMap::create()?;
    let on = ["-m", NamedMap::NAME];
    assert_status(2, &[], "Usage");
    assert_status(2, &["get", "-m", NamedMap::NAME, "7"], "pid:N");
    assert_status(
        2,
        &["map", "create", "a/b", "--value-size", "8"],
        "no name for a map",
    );
    assert_status(
        2,
        &["map", "create", NamedMap::NAME, "--value-size", "8"],
        "already",
    );
    assert_status(
        4,
        &["map", "create", "large", "--value-size", "9999"],
        "E2BIG",
    );
    assert_status(4, &[&["get", "self"], &on[..]].concat(), "ENOENT");
    assert_status(
        2,
        &[&["set", "self", "longer than 16 bytes"], &on[..]].concat(),
        "shorten",
    );
    assert_status(5, &["get", "-m", "missing", "self"], "ostor map create");
    assert_status(
        6,
        &[&["get", "pid:2147483647"], &on[..]].concat(),
        "no such process",
    );
    Ok(())
}

fn recurse() -> Result<()> {
    let table = printed(&["recurse"])?;
    assert_eq!(table.matches("EDEADLK").count(), 4, "{table}");
    let one = [
        "recurse", "--point", "storage", "--outer", "update", "--inner", "update",
    ];
    assert!(printed(&one)?.contains("EDEADLK"));
    assert!(!printed(&[&one[..], &["--other-owner"]].concat())?.contains("EDEADLK"));
    assert_status(
        2,
        &[
            "recurse", "--point", "bucket", "--outer", "create", "--inner", "lookup",
        ],
        "",
    );
    Ok(())
}

fn bench() -> Result<()> {
    let table = printed(&["bench", "--quick"])?;
    assert!(
        table.contains("get hit, 32 maps") && table.contains("| 2,225 |"),
        "{table}"
    );
    Ok(())
}

fn demo() -> Result<()> {
    passes(&["demo", "--keep-module"], "demo: ok")
}

fn stress_fork_reap() -> Result<()> {
    passes(&["stress", "fork-reap", "--count", "1000"], "stress: ok")
}

fn stress_churn() -> Result<()> {
    passes(&["stress", "churn", "--seconds", "3"], "stress: ok")
}

fn stress_race_create() -> Result<()> {
    needs::two_cpus()?;
    passes(&["stress", "race-create", "--rounds", "2000"], "stress: ok")
}
