// SPDX-License-Identifier: GPL-2.0
//! Everything at once: several processes of several threads run all operations
//! on shared maps and maps of their own, while owners die and maps are closed.

use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ostor::device::{self, Kind};
use ostor::process::{Child, Link};

use super::findings::Findings;
use super::player::{Injected, Player};
use super::random::Random;
use super::role::Role;
use super::world::{SharedMaps, World};
use crate::progress::Progress;

const PROCESSES: u64 = 2;
const THREADS: u64 = 2;

/// What dies.
const KINDS: [Kind; 1] = [Kind::Task];

/// Churns for so many seconds.
pub(crate) fn run(seconds: u64, seed: u64) -> Result<Findings> {
    let before = device::stats()?;
    let maps = SharedMaps::create(&KINDS)?;
    let start = Instant::now();
    let end = start + Duration::from_secs(seconds);
    let mut workers = Vec::new();
    for process in 0..PROCESSES {
        workers.push(Child::linked(|link| work(link, &maps, process, seed, end))?);
    }

    let mut progress = Progress::new("seconds", seconds);
    while Instant::now() < end {
        thread::sleep(Duration::from_millis(100));
        progress.at(start.elapsed().as_secs());
    }
    drop(progress);
    let mut findings = Findings::default();
    for (child, link) in &mut workers {
        let line = link.hear().context("a worker process died")?;
        findings.merge(serde_json::from_str(&line)?);
        child.reap()?;
    }
    drop(maps);
    findings.expect_nothing_left(&before)?;
    Ok(findings)
}

/// One process: plays until the end and tells what it found.
fn work(link: &mut Link, maps: &SharedMaps, process: u64, seed: u64, end: Instant) -> i32 {
    let findings = play(maps, process, seed, end).unwrap_or_else(|error| {
        let mut findings = Findings::default();
        findings.problem(format!("process {process}: {error:#}"));
        findings
    });
    let line = serde_json::to_string(&findings).expect("findings are plain data");
    i32::from(link.say(&line).is_err())
}

fn play(maps: &SharedMaps, process: u64, seed: u64, end: Instant) -> Result<Findings> {
    let world = World::create(maps, &KINDS)?;
    let device = device::open()?;
    let all = Mutex::new(Findings::default());
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (world, device, all) = (&world, &device, &all);
            let random = Random::new(seed, process * THREADS + thread);
            scope.spawn(move || {
                let injected = Injected::default();
                let mut player = Player::new(world, device, Role::All, injected, random);
                while Instant::now() < end && !player.findings.is_hopeless() {
                    player.play_one();
                }
                all.lock()
                    .expect("no player panicked")
                    .merge(player.findings);
            });
        }
    });
    Ok(all.into_inner().expect("no player panicked"))
}
