// SPDX-License-Identifier: GPL-2.0
//! Owners die without a notice of death, and new owners get their addresses. No owner may
//! find a value of another one, and the statistics must count the missed notices.
//!
//! Needs the test flavour of the module: its parameter `mute_deaths` is a set of kinds, a
//! bit `1 << OSTOR_KIND_*` for each, whose notices of death are ignored.

use std::fs;

use anyhow::{Context, Result};
use nix::errno::Errno;
use ostor::device::{self, Kind, Map, Mode};
use ostor::object::Object;
use ostor::settle;
use ostor::torture::{MissingFlavour, TortureDevice, need_test_flavour};
use uapi::ostor_stats;

use super::descriptors;
use ostor::progress::Progress;
use ostor::report::Report;

/// The loaded test flavour in sysfs.
const TEST_MODULE: &str = "/sys/module/owner_storage_test";

/// Parameters of the module for this run: all kinds below are muted.
const PARAMETERS: &str = " mute_deaths=14";

/// The kinds of owners.
const KINDS: [Kind; 3] = [Kind::Task, Kind::Cgroup, Kind::Socket];

/// Number of new owners for each dead one, so that most addresses are used again.
const SUCCESSORS: u64 = 2;

/// Lets `count` owners of each kind die without a notice, twice.
pub(crate) fn run(count: u64) -> Result<Report> {
    let muted = muted()?;
    descriptors::allow((SUCCESSORS + 1) * count * 2)?;
    let before = device::stats()?;
    let mut report = Report::default();
    let mut progress = Progress::new("kinds", KINDS.len() as u64);
    for (done, kind) in (0..).zip(KINDS) {
        if muted & kind.bit() == 0 {
            report.skip(kind.name(), "mute_deaths does not name it");
        } else if !kind.is_served(&before) {
            report.skip(kind.name(), kind.why_not_served());
        } else {
            of_kind(kind, count, &mut report)?;
        }
        progress.at(done + 1);
    }
    drop(progress);

    settle::stats_back_to(&before)?;
    let after = device::stats()?;
    for (what, after, before) in [
        ("maps", after.maps, before.maps),
        ("elements", after.elements, before.elements),
        ("storages", after.storages, before.storages),
    ] {
        report.add(&format!("{what} left"), after.saturating_sub(before));
        report.expect(&format!("{what} now"), after, before);
    }
    let allocated = after.allocated - before.allocated;
    report.expect("values dropped", after.dropped - before.dropped, allocated);
    report.expect("values freed", after.freed - before.freed, allocated);
    Ok(report)
}

/// The kinds whose notices of death the module ignores.
fn muted() -> Result<u32> {
    need_test_flavour(&TortureDevice::open()?, PARAMETERS)?;
    let path = format!("{TEST_MODULE}/parameters/mute_deaths");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let muted = text
        .trim()
        .parse()
        .with_context(|| format!("{path} has {text:?}"))?;
    if muted == 0 {
        let what = "this needs the module to ignore notices of death, but mute_deaths is 0";
        return Err(MissingFlavour::other_parameters(what, PARAMETERS).into());
    }
    Ok(muted)
}

/// Lets owners of one kind die; new owners must not find their values.
fn of_kind(kind: Kind, count: u64, report: &mut Report) -> Result<()> {
    let before = device::stats()?;
    let map = Map::create(16)?;
    for generation in 0..2 {
        let dying = Object::several(kind, usize::try_from(count)?)?;
        for object in &dying {
            map.update(object.owner(), &value(generation, u64::MAX), Mode::Any)?;
        }
        dying.into_iter().try_for_each(Object::end)?;
        report.add(&format!("{kind} owners that died without notice"), count);

        let mut successors = Vec::new();
        for number in 0..SUCCESSORS * count {
            let new = Object::new(kind)?;
            succeed(&map, &new, &value(generation, number), report);
            successors.push(new);
        }
        for (number, new) in (0..).zip(&successors) {
            let own = value(generation, number);
            match map.get(new.owner()) {
                Ok(elem) if elem.value == own => report.add("own values read back", 1),
                other => report.problem(format!("{kind} {number}: {other:?}, stored {own:?}")),
            }
        }
        successors.into_iter().try_for_each(Object::end)?;
    }
    drop(map);
    expect_caught(kind, &before, report)
}

/// Checks that a new owner finds no value, and stores one.
fn succeed(map: &Map, new: &Object, own: &[u8], report: &mut Report) {
    let kind = new.kind();
    match map.get(new.owner()) {
        Err(error) if error.errno() == Errno::ENOENT => report.add("new owners without a value", 1),
        other => report.problem(format!("a new {kind} found {other:?}, must be ENOENT")),
    }
    if let Err(error) = map.update(new.owner(), own, Mode::NoExist) {
        report.problem(format!("a new {kind}: {error}"));
    }
}

/// Checks that the module counted missed notices: by the backstop, if the kind has one, or
/// when an address was used again.
fn expect_caught(kind: Kind, before: &ostor_stats, report: &mut Report) -> Result<()> {
    let caught = |after: &ostor_stats| match kind {
        Kind::Socket | Kind::Netns => after.stale - before.stale,
        Kind::Task | Kind::Cgroup => after.late_free - before.late_free,
    };
    // The backstop runs when the owner's memory is freed, a moment after its end.
    settle::until(|| Ok(caught(&device::stats()?) > 0))?;
    let after = device::stats()?;
    report.add(&format!("{kind} owners caught"), caught(&after));
    report.add("late_free", after.late_free - before.late_free);
    report.add("stale", after.stale - before.stale);
    if caught(&after) == 0 {
        report.problem(format!(
            "no {kind} was caught: its deaths were noticed, or no address was used again"
        ));
    }
    Ok(())
}

/// The value of an owner.
fn value(generation: u64, number: u64) -> Vec<u8> {
    [generation, number].map(u64::to_ne_bytes).concat()
}
