// SPDX-License-Identifier: GPL-2.0
//! What every test is run in: whatever it did, it must leave nothing behind and
//! the kernel's log empty.

use std::fs;

use anyhow::{Context, Result, ensure};
use libtest_mimic::{Failed, Trial};
use nix::errno::Errno;
use ostor::device::{self, Error, Map};
use ostor::settle;
use uapi::{ostor_map_info, ostor_stats};

use crate::kernel_log::KernelLog;

/// The value size of most tests.
pub(crate) const VALUE_SIZE: u32 = 16;

/// A test's body.
pub(crate) type Test = fn() -> Result<()>;

/// The tests of a module.
pub(crate) fn suite(module: &str, tests: &[(&str, Test)]) -> Vec<Trial> {
    let trial = |&(name, test): &(&str, Test)| {
        Trial::test(format!("{module}::{name}"), move || {
            run(test).map_err(|error| Failed::from(format!("{error:#}")))
        })
    };
    tests.iter().map(trial).collect()
}

/// Names functions as the tests of the module; some need two CPUs, and are
/// skipped where there is one.
#[macro_export]
macro_rules! suite {
    ($($test:ident),+ $(; two CPUs: $($racing:ident),+)? $(,)?) => {
        pub(crate) fn suite() -> Vec<libtest_mimic::Trial> {
            let module = module_path!().rsplit("::").next().unwrap_or_default();
            let alone = $crate::harness::suite(module, &[$((stringify!($test), $test)),+]);
            let racing = $crate::harness::suite(
                module,
                &[$($((stringify!($racing), $racing)),+)?],
            );
            let skipped = $crate::harness::one_cpu_is_alone();
            let racing = racing.into_iter().map(|trial| trial.with_ignored_flag(skipped));
            alone.into_iter().chain(racing).collect()
        }
    };
}

/// Whether there is only one CPU.
pub(crate) fn one_cpu_is_alone() -> bool {
    fs::read_to_string("/sys/devices/system/cpu/online").is_ok_and(|online| online.trim() == "0")
}

fn run(test: Test) -> Result<()> {
    let mut log = KernelLog::from_now()?;
    let before = device::stats()?;
    test()?;

    let after = settle::stats_back_to(&before)?;
    ensure!(
        settle::alive(&after) == settle::alive(&before),
        "left behind: {after:?}, before: {before:?}"
    );
    ensure!(
        after.late_free == before.late_free,
        "a missed death notice: {after:?}"
    );
    let allocated = after.allocated - before.allocated;
    ensure!(
        after.dropped - before.dropped == allocated,
        "values not dropped once: {after:?}"
    );
    ensure!(
        after.freed - before.freed == allocated,
        "elements not freed once: {after:?}"
    );
    let complaints = log.complaints()?;
    ensure!(
        complaints.is_empty(),
        "in the kernel's log: {complaints:#?}"
    );
    Ok(())
}

/// A map as most tests use it.
pub(crate) fn new_map() -> device::Result<Map> {
    Map::create(VALUE_SIZE)
}

/// Asserts that the device refused with this errno.
#[track_caller]
pub(crate) fn assert_refused<T: std::fmt::Debug>(result: device::Result<T>, errno: Errno) {
    match result {
        Err(Error::Refused { errno: found, .. }) if found == errno => {}
        other => panic!("{other:?}, must be {errno:?}"),
    }
}

/// Asserts that the device refuses with this errno, and that it changes nothing
/// in the map or anywhere.
#[track_caller]
pub(crate) fn assert_refused_unchanged(
    map: &Map,
    errno: Errno,
    what: impl std::fmt::Debug,
    attempt: impl FnOnce() -> nix::Result<()>,
) {
    let before = still(map).expect("figures can be read");
    let result = attempt();
    assert_eq!(result, Err(errno), "{what:?}");
    let after = still(map).expect("figures can be read");
    assert_eq!(before, after, "{what:?} was refused, and changed something");
}

/// All figures, once nothing moves any more in the background.
fn still(map: &Map) -> Result<(ostor_map_info, ostor_stats)> {
    let mut last = None;
    let quiet = settle::until(|| {
        let now = (map.info()?, device::stats()?);
        let is_quiet = now.0.pending == 0 && last == Some(now);
        last = Some(now);
        Ok(is_quiet)
    })?;
    ensure!(quiet, "deleted elements are not freed: {last:?}");
    last.context("asked at least once")
}

/// Waits until the map has this many elements.
#[track_caller]
pub(crate) fn assert_elements_become(map: &Map, elements: u64) {
    let reached = settle::until(|| Ok(map.info()?.elements == elements));
    let info = map.info();
    assert_eq!(
        reached,
        Ok(true),
        "elements must become {elements}: {info:?}"
    );
}
