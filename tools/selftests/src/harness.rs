// SPDX-License-Identifier: GPL-2.0
//! The harness of all tests. After each test no object may be left, and the kernel may not
//! have logged anything.

use anyhow::{Context, Result, ensure};
use libtest_mimic::{Completion, Failed, Trial};
use nix::errno::Errno;
use ostor::device::{self, Error, Kind, Map};
use ostor::settle;
use uapi::{ostor_map_info, ostor_stats};

use crate::kernel_log::KernelLog;
use crate::needs::{self, Unable};

/// The value size of most tests.
pub(crate) const VALUE_SIZE: u32 = 16;

/// The tests of a module.
pub(crate) fn suite<T>(module: &str, tests: &[(&str, T)]) -> Vec<Trial>
where
    T: Fn() -> Result<()> + Copy + Send + 'static,
{
    let trial = |&(name, test): &(&str, T)| trial(format!("{module}::{name}"), test);
    tests.iter().map(trial).collect()
}

/// A test. It is ignored if it finds that it cannot run.
pub(crate) fn trial(name: String, test: impl Fn() -> Result<()> + Send + 'static) -> Trial {
    trial_that_logs(name, &[], test)
}

/// A test during which the kernel logs lines that contain these, in this order, and no
/// others.
pub(crate) fn trial_that_logs(
    name: String,
    lines: &'static [&'static str],
    test: impl Fn() -> Result<()> + Send + 'static,
) -> Trial {
    Trial::ignorable_test(name, move || match run(&test, lines) {
        Ok(()) => Ok(Completion::Completed),
        Err(error) => match error.downcast_ref::<Unable>() {
            Some(why) => Ok(Completion::ignored_with(why)),
            None => Err(Failed::from(format!("{error:#}"))),
        },
    })
}

/// Declares functions as the tests of the module.
#[macro_export]
macro_rules! suite {
    ($($test:ident),+ $(,)?) => {
        pub(crate) fn suite() -> Vec<libtest_mimic::Trial> {
            let module = module_path!().rsplit("::").next().unwrap_or_default();
            let tests: &[(&str, fn() -> anyhow::Result<()>)] = &[$((stringify!($test), $test)),+];
            $crate::harness::suite(module, tests)
        }
    };
}

/// Declares functions of a kind of owners as the tests of the module. Each runs for every
/// kind.
#[macro_export]
macro_rules! kind_suite {
    ($($test:ident),+ $(,)?) => {
        pub(crate) fn suite() -> Vec<libtest_mimic::Trial> {
            let tests: &[(&str, $crate::harness::KindTest)] =
                &[$((stringify!($test), $test)),+];
            $crate::harness::of_each_kind(module_path!(), tests)
        }
    };
}

/// A test of any kind of owners.
pub(crate) type KindTest = fn(Kind) -> Result<()>;

/// Tests of every kind of owners.
pub(crate) fn of_each_kind(module: &str, tests: &[(&str, KindTest)]) -> Vec<Trial> {
    let module = module.rsplit("::").next().unwrap_or_default();
    let of_kind = |kind| {
        let trial = move |&(name, test): &(&str, KindTest)| {
            trial(format!("{module}::{name}::{kind}"), move || {
                needs::kind(kind)?;
                test(kind)
            })
        };
        tests.iter().map(trial)
    };
    Kind::ALL.into_iter().flat_map(of_kind).collect()
}

fn run(test: &impl Fn() -> Result<()>, lines: &[&str]) -> Result<()> {
    let mut log = KernelLog::from_now()?;
    let before = device::stats()?;
    test()?;

    let after = settle::stats_back_to(&before)?;
    ensure!(
        settle::alive(&after) == settle::alive(&before),
        "left behind: {after:?}, before: {before:?}"
    );
    ensure!(
        (after.late_free, after.stale) == (before.late_free, before.stale),
        "a missed death notice: {after:?}"
    );
    ensure!(
        after.omem_left == before.omem_left,
        "a freed socket had option memory: {after:?}"
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
    let is_expected = complaints.len() == lines.len()
        && complaints
            .iter()
            .zip(lines)
            .all(|(found, line)| found.contains(line));
    ensure!(
        is_expected,
        "in the kernel's log: {complaints:#?}, must be: {lines:#?}"
    );
    Ok(())
}

/// A map with the usual value size.
pub(crate) fn new_map() -> device::Result<Map> {
    Map::create(VALUE_SIZE)
}

/// Asserts that the device refused the command with this errno value.
#[track_caller]
pub(crate) fn assert_refused<T: std::fmt::Debug>(result: device::Result<T>, errno: Errno) {
    match result {
        Err(Error::Refused { errno: found, .. }) if found == errno => {}
        other => panic!("{other:?}, must be {errno:?}"),
    }
}

/// Asserts that the device refuses a command with this errno value, and that neither the map
/// nor the statistics change.
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

/// The counts of the map and the module, when the reaper is idle.
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
