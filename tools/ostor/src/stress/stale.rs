// SPDX-License-Identifier: GPL-2.0
//! Owners whose death goes unnoticed, and others that take their addresses:
//! nobody may ever find a value that was another's, and the counters must tell
//! that notices were missed.
//!
//! Only the test flavour of the module can be made deaf: its parameter
//! `mute_deaths` is a set of kinds, a bit `1 << OSTOR_KIND_*` for each, whose
//! notices of death it ignores.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use nix::errno::Errno;
use ostor::device::{self, Kind, Map, Mode};
use ostor::object::Object;
use ostor::settle;
use uapi::ostor_stats;

use super::descriptors;
use super::findings::Findings;
use crate::exit::UsageError;
use crate::progress::Progress;

/// Where the loaded test flavour shows itself.
const TEST_MODULE: &str = "/sys/module/owner_storage_test";

/// How to have what this needs.
const HOW: &str = "start with `scripts/vm --no-module --test-module`, and in the guest \
                   `insmod /modules/owner_storage_test.ko mute_deaths=14`";

/// The kinds that this is about.
const KINDS: [Kind; 3] = [Kind::Task, Kind::Cgroup, Kind::Socket];

/// How many new owners follow each dead one, so that most addresses are used
/// again.
const HEIRS: u64 = 2;

/// Lets `count` owners of each kind die unnoticed, twice.
pub(crate) fn run(count: u64) -> Result<Findings> {
    let muted = muted()?;
    descriptors::allow((HEIRS + 1) * count * 2)?;
    let before = device::stats()?;
    let mut findings = Findings::default();
    let mut progress = Progress::new("kinds", KINDS.len() as u64);
    for (done, kind) in (0..).zip(KINDS) {
        if muted & kind.bit() == 0 {
            findings.skip(kind.name(), "mute_deaths does not name it");
        } else if !kind.is_served(&before) {
            findings.skip(kind.name(), kind.why_not_served());
        } else {
            of_kind(kind, count, &mut findings)?;
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
        findings.add(&format!("{what} left"), after.saturating_sub(before));
        findings.expect(&format!("{what} now"), after, before);
    }
    let allocated = after.allocated - before.allocated;
    findings.expect("values dropped", after.dropped - before.dropped, allocated);
    findings.expect("values freed", after.freed - before.freed, allocated);
    Ok(findings)
}

/// The kinds whose notices the module ignores.
fn muted() -> Result<u32> {
    if !Path::new(TEST_MODULE).exists() {
        let text = format!("the test flavour of the module is not loaded; {HOW}");
        return Err(UsageError(text).into());
    }
    let path = format!("{TEST_MODULE}/parameters/mute_deaths");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let muted = text
        .trim()
        .parse()
        .with_context(|| format!("{path} has {text:?}"))?;
    if muted == 0 {
        let text = format!("the module heeds every notice of death, mute_deaths is 0; {HOW}");
        return Err(UsageError(text).into());
    }
    Ok(muted)
}

/// Owners of one kind die; new ones must not find what those had.
fn of_kind(kind: Kind, count: u64, findings: &mut Findings) -> Result<()> {
    let before = device::stats()?;
    let map = Map::create(16)?;
    for generation in 0..2 {
        let dying = Object::several(kind, usize::try_from(count)?)?;
        for object in &dying {
            map.update(object.owner(), &value(generation, u64::MAX), Mode::Any)?;
        }
        dying.into_iter().try_for_each(Object::end)?;
        findings.add(&format!("{kind} owners that died unnoticed"), count);

        let mut heirs = Vec::new();
        for number in 0..HEIRS * count {
            let heir = Object::new(kind)?;
            inherit(&map, &heir, &value(generation, number), findings);
            heirs.push(heir);
        }
        for (number, heir) in (0..).zip(&heirs) {
            let own = value(generation, number);
            match map.get(heir.owner()) {
                Ok(elem) if elem.value == own => findings.add("own values read back", 1),
                other => findings.problem(format!("{kind} {number}: {other:?}, stored {own:?}")),
            }
        }
        heirs.into_iter().try_for_each(Object::end)?;
    }
    drop(map);
    expect_caught(kind, &before, findings)
}

/// A new owner finds nothing, and stores a value of its own.
fn inherit(map: &Map, heir: &Object, own: &[u8], findings: &mut Findings) {
    let kind = heir.kind();
    match map.get(heir.owner()) {
        Err(error) if error.errno() == Errno::ENOENT => findings.add("new owners found none", 1),
        other => findings.problem(format!("a new {kind} found {other:?}, must be ENOENT")),
    }
    if let Err(error) = map.update(heir.owner(), own, Mode::NoExist) {
        findings.problem(format!("a new {kind}: {error}"));
    }
}

/// The module must have noticed that it had missed something: by the backstop,
/// where the kind has one, or when an address was used again.
fn expect_caught(kind: Kind, before: &ostor_stats, findings: &mut Findings) -> Result<()> {
    let caught = |after: &ostor_stats| match kind {
        Kind::Socket | Kind::Netns => after.stale - before.stale,
        Kind::Task | Kind::Cgroup => after.late_free - before.late_free,
    };
    // The backstop comes when the owner's memory goes, a moment after its end.
    settle::until(|| Ok(caught(&device::stats()?) > 0))?;
    let after = device::stats()?;
    findings.add(&format!("{kind} owners caught"), caught(&after));
    findings.add("late_free", after.late_free - before.late_free);
    findings.add("stale", after.stale - before.stale);
    if caught(&after) == 0 {
        findings.problem(format!(
            "no {kind} was caught: its deaths were noticed, or its address never used again; {HOW}"
        ));
    }
    Ok(())
}

/// A value that says whose it is.
fn value(generation: u64, number: u64) -> Vec<u8> {
    [generation, number].map(u64::to_ne_bytes).concat()
}
