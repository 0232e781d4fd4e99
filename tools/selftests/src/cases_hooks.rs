// SPDX-License-Identifier: GPL-2.0
//! The hooks of the module beside other hooks of the same functions.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use ostor::device::{self, Kind, Mode};
use ostor::object::Object;

use crate::harness::{assert_elements_become, new_map, suite as suite_of, trial_that_logs};
use crate::needs::{self, unable};

const SHARED: &str = "another tracer covers bpf_sk_storage_free()";

type Test = fn() -> Result<()>;

pub(crate) fn suite() -> Vec<Trial> {
    let tests: &[(&str, Test)] = &[
        ("what_is_served_has_proved_itself", proved),
        ("without_a_tracer_no_notice_is_shared", alone),
    ];
    let mut trials = suite_of("cases_hooks", tests);
    trials.push(trial_that_logs(
        "cases_hooks::notices_beside_tracers_are_counted_and_told_of_once".to_owned(),
        &[SHARED],
        beside_tracers,
    ));
    trials
}

/// The kernel's function tracer on the function that the module hooks for the end of
/// sockets.
struct Tracer;

impl Tracer {
    const DIR: &str = "/sys/kernel/tracing";

    fn start() -> Result<Self> {
        if !Path::new(Self::DIR).join("current_tracer").exists() {
            return unable("there is no tracefs");
        }
        if !fs::read_to_string(Path::new(Self::DIR).join("available_tracers"))?
            .split_whitespace()
            .any(|tracer| tracer == "function")
        {
            return unable("this kernel has no function tracer");
        }
        let tracer = Self;
        Self::write("set_ftrace_filter", "bpf_sk_storage_free")?;
        Self::write("current_tracer", "function")?;
        Ok(tracer)
    }

    fn write(file: &str, text: &str) -> Result<()> {
        fs::write(Path::new(Self::DIR).join(file), text).with_context(|| format!("write {file}"))
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        // If the tracer stayed on, later tests would see it.
        let _ = Self::write("current_tracer", "nop");
        let _ = Self::write("set_ftrace_filter", "");
    }
}

/// Ends `count` sockets with values, and returns the number of shared notices meanwhile.
fn end_sockets(count: usize) -> Result<u64> {
    let (map, before) = (new_map()?, device::stats()?);
    for socket in Object::several(Kind::Socket, count)? {
        map.update(socket.owner(), b"x", Mode::Any)?;
        socket.end()?;
    }
    assert_elements_become(&map, 0);
    let after = device::stats()?;
    assert_eq!(after.owner_deaths - before.owner_deaths, count as u64);
    Ok(after.shared - before.shared)
}

fn proved() -> Result<()> {
    let stats = device::stats()?;
    for kind in Kind::ALL {
        let refused = stats.refused[kind.to_uapi() as usize];
        assert_eq!(kind.is_served(&stats), refused == 0, "{kind}: {stats:?}");
    }
    needs::kind(Kind::Socket)
}

fn alone() -> Result<()> {
    needs::kind(Kind::Socket)?;
    assert_eq!(end_sockets(10)?, 0);
    Ok(())
}

fn beside_a_tracer() -> Result<()> {
    let tracer = Tracer::start()?;
    let shared = end_sockets(10)?;
    ensure!(shared >= 10, "of 10 notices, {shared} were shared");
    drop(tracer);
    assert_eq!(end_sockets(10)?, 0);
    Ok(())
}

fn beside_tracers() -> Result<()> {
    needs::kind(Kind::Socket)?;
    beside_a_tracer()?;
    beside_a_tracer()
}
