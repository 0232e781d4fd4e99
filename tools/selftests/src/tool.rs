// SPDX-License-Identifier: GPL-2.0
//! The command lines `ostor` and `ostor-torture`, as users and scripts use them.

use std::fs::File;
use std::io::Read;
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, pipe};
use ostor::cgroup::Cgroup;
use ostor::device::{self, Kind, Map, Mode, Owner};
use ostor::netns;
use ostor::process::Child;
use ostor::settle;
use ostor::sys::socket::cookie;
use ostor::text::COLUMNS;
use ostor::torture::{TortureDevice, fault_sites};

use crate::harness::new_map;
use crate::needs;

crate::suite![
    a_map_by_name,
    names_of_cgroups,
    names_of_sockets,
    names_of_network_namespaces,
    a_list_by_owner,
    a_map_that_clones,
    statistics,
    json,
    exit_status,
    a_text_that_looks_like_bytes,
    sorted_and_filtered_lists,
    a_map_shows_its_holder,
    all_maps_and_their_creators,
    watched_figures,
    a_watch_ends_on_ctrl_c,
    outputs_that_cannot_be_written,
    recurse,
    bench,
    demo,
    stress_fork_reap,
    stress_churn,
    stress_race_create,
    stress_sockets,
    stress_socket_churn,
    stress_accept,
    stress_cgroups,
    stress_optmem,
    stress_stale_needs_the_test_flavour,
    soak_without_faults,
    soak,
    blackout,
    faults_need_the_test_flavour,
    an_interrupted_soak,
];

/// Runs `ostor`, or `ostor-torture` if the command is one of its own.
fn ostor(arguments: &[&str]) -> Result<Output> {
    let program = program(arguments);
    let output = Command::new(program).args(arguments).output();
    output.with_context(|| format!("cannot run {program}"))
}

/// The program that has the command.
fn program(arguments: &[&str]) -> &'static str {
    const TORTURE: [&str; 6] = [
        "recurse",
        "bench",
        "stress",
        "soak",
        "blackout",
        "compare-guards",
    ];
    match arguments.first() {
        Some(command) if TORTURE.contains(command) => "ostor-torture",
        _ => "ostor",
    }
}

/// The output of a command that must succeed. Text must fit into 80 columns.
fn printed(arguments: &[&str]) -> Result<String> {
    let output = ostor(arguments)?;
    ensure!(
        output.status.success(),
        "ostor {}: {output:?}",
        arguments.join(" ")
    );
    let text = String::from_utf8(output.stdout)?.trim_end().to_owned();
    let is_wide = |line: &str| line.chars().count() > COLUMNS;
    let wide = text.lines().find(|line| is_wide(line));
    ensure!(wide.is_none() || arguments.contains(&"--json"), "{wide:?}");
    Ok(text)
}

/// Checks that a command succeeds and that this is the last line of its output.
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
    let said = in_one_line(&output.stderr);
    assert!(said.contains(message), "{arguments:?}: {said}");
}

/// An output without its line breaks.
fn in_one_line(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A map that is removed when this is dropped.
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
    assert_row(
        &list,
        &["task", &format!("tid:{}", child.pid()), "hex:00ff"],
    );
    assert!(printed(&["map", "ls"])?.contains(NamedMap::NAME));
    let info = printed(&["map", "info", NamedMap::NAME])?;
    let elements = info.lines().find_map(|line| line.strip_prefix("elements "));
    let elements = elements.and_then(|text| text.split_whitespace().next());
    assert_eq!(elements, Some("1"), "{info}");
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

/// Asserts that a table has a row with these cells, in this order.
#[track_caller]
fn assert_row(table: &str, cells: &[&str]) {
    let has = |row: &str| {
        let mut found = row.split('|').map(str::trim);
        cells.iter().all(|cell| found.any(|text| text == *cell))
    };
    assert!(table.lines().any(has), "no row with {cells:?}: {table}");
}

/// Stores a value by one name of an owner, and reads it by the others.
fn assert_names(names: &[&str]) -> Result<()> {
    let on = ["-m", NamedMap::NAME];
    printed(&[&["set", names[0], "named", "--noexist"], &on[..]].concat())?;
    for name in names {
        let value = printed(&[&["get", *name], &on[..]].concat())?;
        assert_eq!(value, "named", "{name}");
    }
    Ok(())
}

fn names_of_cgroups() -> Result<()> {
    needs::kind(Kind::Cgroup)?;
    let (_map, cgroup) = (NamedMap::create()?, Cgroup::create()?);
    let path = cgroup.path().display().to_string();
    let relative = path.trim_start_matches("/sys/fs/cgroup/");
    let id = format!("cgroup-id:{}", cgroup.id());
    assert_names(&[
        &format!("cgroup:{path}"),
        &format!("cgroup:{relative}"),
        &id,
    ])?;
    let list = printed(&["list", "-m", NamedMap::NAME])?;
    assert_row(&list, &["cgroup", &id, relative, "1", "named"]);
    let on = ["-m", NamedMap::NAME];
    for (status, name, message) in [
        (6, "cgroup:no/such", "`ls /sys/fs/cgroup`"),
        (6, "cgroup:/dev", "not in a cgroup hierarchy"),
        (4, "cgroup-id:1234567", "ESRCH"),
        (2, "cgroup-id:x", "stat -c %i"),
        (6, "cgroup-fd:99", "not open"),
    ] {
        assert_status(status, &[&["get", name], &on[..]].concat(), message);
    }
    Ok(())
}

fn names_of_sockets() -> Result<()> {
    needs::kind(Kind::Socket)?;
    let (_map, socket) = (NamedMap::create()?, UdpSocket::bind("127.0.0.1:0")?);
    let (pid, fd) = (std::process::id(), socket.as_raw_fd());
    assert_names(&[&format!("socket:{pid}/{fd}")])?;
    let list = printed(&["list", "-m", NamedMap::NAME])?;
    let cookie = format!("cookie {}", cookie(&socket)?);
    assert_row(&list, &["socket", &cookie, "", "1", "named"]);

    // A socket as the standard input of the command.
    let get = |fd: &str| {
        let mut command = Command::new("ostor");
        command.args(["get", "-m", NamedMap::NAME, fd]);
        Ok::<_, anyhow::Error>(command.stdin(OwnedFd::from(socket.try_clone()?)).output()?)
    };
    assert_eq!(get("socket:self/0")?.stdout, b"named\n");
    assert_eq!(get("socket:self/1")?.status.code(), Some(4));
    let on = ["-m", NamedMap::NAME];
    for (status, name, message) in [
        (6, format!("socket:{pid}/9999"), "has no descriptor 9999"),
        (4, "socket:1/0".to_owned(), "ENOTSOCK"),
        (6, "socket:2147483647/0".to_owned(), "no such process"),
        (2, "socket:7".to_owned(), "socket:PID/FD"),
    ] {
        assert_status(status, &[&["get", &name], &on[..]].concat(), message);
    }
    Ok(())
}

fn names_of_network_namespaces() -> Result<()> {
    needs::kind(Kind::Netns)?;
    let _map = NamedMap::create()?;
    assert_names(&["netns:1", "netns:/proc/self/ns/net"])?;
    let list = printed(&["list", "-m", NamedMap::NAME])?;
    let cookie = format!("cookie {}", netns::current()?.cookie());
    assert_row(&list, &["netns", &cookie, "", "1", "named"]);
    let on = ["-m", NamedMap::NAME];
    for (status, name, message) in [
        (6, "netns:/dev/null", "not a namespace"),
        (4, "netns:/proc/self/ns/mnt", "EBADF"),
        (6, "netns:2147483647", "there is no /proc/2147483647"),
    ] {
        assert_status(status, &[&["get", name], &on[..]].concat(), message);
    }
    Ok(())
}

fn a_list_by_owner() -> Result<()> {
    let (_map, child, unnamed) = (NamedMap::create()?, Child::idle()?, new_map()?);
    let owner = &format!("pid:{}", child.pid());
    printed(&["set", "-m", NamedMap::NAME, owner, "green"])?;
    unnamed.update(Owner::task(&child), b"x", Mode::Any)?;
    let list = printed(&["list", "--owner", owner])?;
    assert_row(&list, &[NamedMap::NAME, "1", "16", "", "green"]);
    let id = unnamed.info()?.id.to_string();
    assert_row(&list, &[&id, "", "1", "16", "", ""]);
    let json = printed(&["list", "--json", "--owner", owner])?;
    assert!(json.contains(&format!("\"map\": {id},")), "{json}");
    assert!(json.contains("\"text\": \"green\""), "{json}");
    assert_status(2, &["list"], "--map");
    Ok(())
}

fn a_map_that_clones() -> Result<()> {
    drop(needs::cloning_map()?);
    let name = NamedMap::NAME;
    printed(&["map", "create", name, "--value-size", "16", "--clone"])?;
    let _map = NamedMap;
    assert_row(&printed(&["map", "ls"])?, &[name, "16", "yes"]);
    assert!(printed(&["map", "info", name, "--json"])?.contains("\"clone\""));
    Ok(())
}

fn statistics() -> Result<()> {
    let text = printed(&["stats"])?;
    let kinds = text.lines().find_map(|line| line.strip_prefix("kinds "));
    assert!(kinds.is_some_and(|kinds| kinds.contains("task")), "{text}");
    let refused = text.lines().find_map(|line| line.strip_prefix("refused "));
    assert!(refused.is_some_and(|kinds| !kinds.contains("task") && !kinds.trim().is_empty()));
    for figure in ["late_free", "stale", "charged", "omem_left"] {
        assert!(text.lines().any(|line| line.starts_with(figure)), "{text}");
    }
    assert!(printed(&["stats", "--json"])?.contains("\"task\""));
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
        "not a name for a map",
    );
    assert_status(
        2,
        &["map", "create", NamedMap::NAME, "--value-size", "8"],
        "already",
    );
    assert_status(
        2,
        &["map", "create", "large", "--value-size", "9999"],
        "a value has 1 to 8064 bytes",
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
        "cannot find pid:2147483647: there is no such process",
    );
    Ok(())
}

fn a_text_that_looks_like_bytes() -> Result<()> {
    let _map = NamedMap::create()?;
    let set = ["set", "-m", NamedMap::NAME, "self", "0x1234"];
    assert!(printed(&set)?.contains("write hex:1234"));
    let json = printed(&[&set[..], &["--json"]].concat())?;
    assert!(json.contains("\"note\": \"the value is the text"), "{json}");
    assert_eq!(printed(&["set", "-m", NamedMap::NAME, "self", "1234"])?, "");
    Ok(())
}

fn sorted_and_filtered_lists() -> Result<()> {
    let (_map, children) = (NamedMap::create()?, [Child::idle()?, Child::idle()?]);
    let on = ["-m", NamedMap::NAME];
    for (child, value) in children.iter().zip(["red", "green"]) {
        let owner = format!("pid:{}", child.pid());
        printed(&[&["set", &owner, value], &on[..]].concat())?;
    }
    let values = |options: &[&str]| -> Result<Vec<String>> {
        let list = printed(&[&["list"], &on[..], options].concat())?;
        let values = list.lines().skip(2).filter_map(|row| row.split('|').nth(5));
        Ok(values.map(|value| value.trim().to_owned()).collect())
    };
    assert_eq!(values(&["--sort", "seq"])?, ["red", "green"]);
    assert_eq!(values(&["--sort", "value"])?, ["green", "red"]);
    assert_eq!(values(&["--sort", "seq", "--reverse"])?, ["green", "red"]);
    assert_eq!(values(&["--sort", "seq", "--limit", "1"])?, ["red"]);
    assert_eq!(values(&["--contains", "gree"])?, ["green"]);
    assert_eq!(values(&["--kind", "socket"])?, [""; 0]);
    Ok(())
}

/// The holder is the process that keeps the map open, not the one that created it.
fn a_map_shows_its_holder() -> Result<()> {
    let _map = NamedMap::create()?;
    let json = printed(&["map", "ls", "--json"])?;
    let holder = json
        .lines()
        .find_map(|line| line.trim().strip_prefix("\"holder\": "));
    let holder = holder.context(json.clone())?;
    let command = std::fs::read_to_string(format!("/proc/{holder}/cmdline"))?;
    let words: Vec<_> = command.split('\0').collect();
    assert_eq!(words[1..3], ["hold", NamedMap::NAME], "{command:?}");
    Ok(())
}

/// The maps of other programs are listed too, by the name that the kernel has.
fn all_maps_and_their_creators() -> Result<()> {
    let (_map, unheld) = (NamedMap::create()?, Map::create_named(8, "no_holder")?);
    let list = printed(&["map", "ls", "--all"])?;
    assert_row(&list, &[NamedMap::NAME, "16"]);
    let comm = std::fs::read_to_string("/proc/self/comm")?;
    let creator = format!("{} {}", std::process::id(), comm.trim_end());
    assert_row(&list, &["no_holder", "8", &creator]);
    let json = printed(&["map", "ls", "--all", "--json"])?;
    assert!(json.contains("\"name\": \"guest_test\""), "{json}");
    assert!(json.contains("\"held_as\": \"guest-test\""), "{json}");
    let held = printed(&["map", "ls"])?;
    assert!(!held.contains("no_holder"), "{held}");
    drop(unheld);
    let info = printed(&["map", "info", NamedMap::NAME])?;
    assert!(info.contains("\nname           guest_test "), "{info}");
    Ok(())
}

fn watched_figures() -> Result<()> {
    let _map = NamedMap::create()?;
    let twice = ["watch", "--interval", "1", "--count", "2"];
    let watch = |what: &[&str]| printed(&[&twice[..], what].concat());
    let lines = watch(&["stats", "--json"])?;
    assert_eq!(lines.lines().count(), 2, "{lines}");
    assert!(
        lines.lines().all(|line| line.starts_with("{\"maps\":1,")),
        "{lines}"
    );
    let text = watch(&["map", NamedMap::NAME])?;
    assert_eq!(text.matches("per second").count(), 2, "{text}");
    assert_row(&watch(&["maps"])?, &[NamedMap::NAME, "16"]);
    assert!(watch(&["list", "-m", NamedMap::NAME])?.contains("seq"));
    assert_status(5, &["watch", "map", "missing"], "no map named missing");
    Ok(())
}

fn a_watch_ends_on_ctrl_c() -> Result<()> {
    let mut command = Command::new("ostor");
    command
        .args(["watch", "stats", "--interval", "600"])
        .stdout(Stdio::piped());
    let mut watch = command.spawn()?;
    // The first round has been printed, so the signal is blocked.
    let mut output = watch.stdout.take().context("a pipe")?;
    output.read_exact(&mut [0])?;
    kill(Pid::from_raw(watch.id().try_into()?), Signal::SIGINT)?;
    assert!(watch.wait()?.success());
    Ok(())
}

/// Every command that prints something: on a full disk it fails with a message, and on a
/// closed pipe without one.
fn outputs_that_cannot_be_written() -> Result<()> {
    let _map = NamedMap::create()?;
    printed(&["set", "-m", NamedMap::NAME, "self", "x"])?;
    let on = ["-m", NamedMap::NAME];
    for arguments in [
        [&["list"], &on[..]].concat().as_slice(),
        &[&["get", "self", "--create", "x"], &on[..]].concat(),
        &["map", "ls"],
        &["map", "info", NamedMap::NAME],
        &["stats"],
        &["stats", "--json"],
        &["watch", "stats"],
        &["list", "--owner", "self"],
        &["recurse"],
        &["bench", "--quick"],
        &["stress", "fork-reap", "--count", "1"],
    ] {
        let run = |stdout: Stdio| -> Result<(Option<i32>, String)> {
            let mut command = Command::new(program(arguments));
            let output = command.args(arguments).stdout(stdout).output()?;
            Ok((output.status.code(), in_one_line(&output.stderr)))
        };
        let (status, said) = run(File::create("/dev/full")?.into())?;
        assert_eq!(status, Some(6), "{arguments:?}: {said}");
        assert!(said.contains("No space left"), "{arguments:?}: {said}");
        let (reader, writer) = pipe()?;
        drop(reader);
        let (status, said) = run(writer.into())?;
        assert_eq!(status, Some(6), "{arguments:?}: {said}");
        // Progress may be on standard error.
        assert!(!said.contains("cannot write"), "{arguments:?}: {said}");
    }
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
    assert_row(&table, &["task", "create + delete, the owner's first"]);
    let stats = device::stats()?;
    for kind in [Kind::Cgroup, Kind::Socket] {
        if kind.is_served(&stats) {
            assert_row(&table, &[kind.name(), "get hit, 32 maps"]);
        }
    }
    assert_row(&table, &["-", "rqspinlock lock + unlock"]);
    let table = printed(&["bench", "--quick", "--maps", "3,1"])?;
    assert_row(&table, &["task", "get hit, 1 map"]);
    assert_row(&table, &["task", "create + delete, 3 maps"]);
    Ok(())
}

/// The last line says what the kernel lacks.
fn demo() -> Result<()> {
    let text = printed(&["demo", "--keep-module"])?;
    let last = text.lines().last().unwrap_or_default();
    ensure!(last.starts_with("demo: ok"), "{text}");
    if last != "demo: ok" {
        return needs::unable(format!("{last}: this kernel does not serve all kinds"));
    }
    for owners in ["tasks", "cgroups", "sockets", "network namespaces"] {
        assert_row(&text, &[owners, "8", "8", "8", "8", "16"]);
    }
    Ok(())
}

/// A stress run with a kind of owners must succeed.
fn stress(kind: Kind, arguments: &[&str]) -> Result<()> {
    needs::kind(kind)?;
    passes(&[&["stress"], arguments].concat(), "stress: ok")
}

fn stress_fork_reap() -> Result<()> {
    stress(Kind::Task, &["fork-reap", "--count", "1000"])
}

fn stress_churn() -> Result<()> {
    stress(Kind::Task, &["churn", "--seconds", "3"])
}

fn stress_race_create() -> Result<()> {
    needs::two_cpus()?;
    stress(Kind::Task, &["race-create", "--rounds", "2000"])
}

fn stress_sockets() -> Result<()> {
    stress(
        Kind::Socket,
        &["sockets", "--seconds", "1", "--count", "500"],
    )
}

fn stress_socket_churn() -> Result<()> {
    stress(Kind::Socket, &["socket-churn", "--seconds", "2"])
}

fn stress_accept() -> Result<()> {
    drop(needs::cloning_map()?);
    stress(Kind::Socket, &["accept", "--count", "1000"])
}

fn stress_cgroups() -> Result<()> {
    stress(Kind::Cgroup, &["cgroups", "--count", "100"])
}

fn stress_optmem() -> Result<()> {
    stress(Kind::Socket, &["optmem", "--rounds", "3"])
}

fn stress_stale_needs_the_test_flavour() -> Result<()> {
    assert_status(3, &["stress", "stale"], "insmod");
    Ok(())
}

/// Checks that a command succeeds, or skips what this kernel does not serve.
fn passes_or_skips(arguments: &[&str], last_line: &str) -> Result<()> {
    let text = printed(arguments)?;
    let last = text.lines().last().unwrap_or_default();
    ensure!(last.starts_with(last_line), "{text}");
    Ok(())
}

fn soak_without_faults() -> Result<()> {
    passes_or_skips(&["soak", "--no-faults", "--ops", "3000"], "soak: ok")
}

fn soak() -> Result<()> {
    needs::test_flavour()?;
    passes_or_skips(&["soak", "--seconds", "5"], "soak: ok")
}

fn blackout() -> Result<()> {
    needs::test_flavour()?;
    passes_or_skips(&["blackout", "--owners", "200"], "blackout: ok")
}

fn faults_need_the_test_flavour() -> Result<()> {
    if needs::test_flavour().is_ok() {
        return needs::unable("the module is of the test flavour");
    }
    for arguments in [["soak"].as_slice(), &["blackout", "--owners", "10"]] {
        assert_status(3, arguments, "insmod");
    }
    Ok(())
}

/// An interrupted run stops injecting faults, and does not pass.
fn an_interrupted_soak() -> Result<()> {
    let (device, torture) = (device::open()?, TortureDevice::open()?);
    let mut arguments = vec!["soak", "--seconds", "600"];
    if needs::test_flavour().is_err() {
        arguments.push("--no-faults");
    }
    let mut command = Command::new("ostor-torture");
    command.args(arguments).stdout(Stdio::piped());
    let soak = command.stderr(Stdio::null()).spawn()?;
    // Opening the device may fail while faults are injected.
    let begun = settle::until(|| match fault_sites(&torture) {
        Ok(points) => Ok(points.iter().any(|point| point.failed > 0)),
        Err(_) => Ok(device::stats_of(&device)?.elements > 0),
    })?;
    kill(Pid::from_raw(soak.id().try_into()?), Signal::SIGINT)?;
    let output = soak.wait_with_output()?;
    let text = in_one_line(&output.stdout);
    ensure!(begun && output.status.code() == Some(1), "{text}");
    assert!(text.contains("WRONG: ended by SIGINT"), "{text}");
    assert!(!text.contains("must be"), "{text}");
    if let Ok(points) = fault_sites(&torture) {
        assert!(points.iter().all(|point| point.probability == 0));
    }
    Ok(())
}
