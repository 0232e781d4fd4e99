// SPDX-License-Identifier: GPL-2.0
//! Those who torture: a thread for each part.

use std::fs::File;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use ostor::random::Random;

use super::accept::Accepting;
use super::holder;
use super::interrupted::Interrupted;
use super::limit::Limit;
use crate::stress::findings::Findings;
use crate::stress::player::{Injected, Player};
use crate::stress::role::Role;
use crate::stress::world::World;

/// The parts that are played.
const ROLES: [Role; 5] = [
    Role::Reader,
    Role::Creator,
    Role::Deleter,
    Role::MapCycler,
    Role::OwnerKiller,
];

/// How long the others are left alone between two interruptions.
const PEACE: Duration = Duration::from_millis(400);

/// What they need.
pub(super) struct Workers<'a> {
    pub(super) world: &'a World,
    pub(super) device: &'a File,
    /// Nothing, where the kernel does not tell of accepted sockets.
    pub(super) accepting: Option<&'a Accepting>,
    pub(super) interrupted: &'a Interrupted,
    /// Whether the module tells how old what a reader holds gets.
    pub(super) tells_ages: bool,
    pub(super) injected: Injected,
    pub(super) seed: u64,
    pub(super) limit: &'a Limit,
}

impl Workers<'_> {
    /// Has them work until the limit; the calling thread runs `watch` meanwhile,
    /// and if that fails they stop.
    pub(super) fn run(&self, watch: impl FnOnce() -> Result<()>) -> Result<Findings> {
        let all = Mutex::new(Findings::default());
        thread::scope(|scope| {
            for (stream, role) in (0..).zip(ROLES) {
                let all = &all;
                scope.spawn(move || add(all, self.play(role, stream)));
            }
            let all = &all;
            if let Some(accepting) = self.accepting {
                scope.spawn(move || add(all, self.accept(accepting)));
            }
            if self.tells_ages {
                scope.spawn(move || add(all, self.hold()));
            }
            scope.spawn(move || add(all, self.interrupt()));
            let stop = Stop(self.limit);
            let watched = watch();
            drop(stop);
            if let Err(error) = watched {
                let mut all = all.lock().expect("no worker panicked");
                all.problem(format!("{error:#}"));
            }
        });
        Ok(all.into_inner().expect("no worker panicked"))
    }

    fn play(&self, role: Role, stream: u64) -> Findings {
        let random = Random::new(self.seed, stream);
        let mut player = Player::new(self.world, self.device, role, self.injected, random);
        while self.limit.take_turn() {
            player.play_one();
            self.stop_if_hopeless(&player.findings);
        }
        player.findings
    }

    fn accept(&self, accepting: &Accepting) -> Findings {
        let mut findings = Findings::default();
        while self.limit.take_turn() {
            if let Err(error) = accepting.one(self.injected, &mut findings) {
                findings.problem(format!("accept: {error:#}"));
            }
            self.stop_if_hopeless(&findings);
        }
        findings
    }

    fn hold(&self) -> Findings {
        let mut random = Random::new(self.seed, ROLES.len() as u64);
        let mut findings = Findings::default();
        while self.limit.take_turn() {
            holder::look(self.world, &mut random, &mut findings);
            self.stop_if_hopeless(&findings);
        }
        findings
    }

    fn interrupt(&self) -> Findings {
        let mut random = Random::new(self.seed, ROLES.len() as u64 + 1);
        let mut findings = Findings::default();
        while self.limit.take_turn() {
            self.interrupted
                .one(&mut random, self.injected, &mut findings);
            self.stop_if_hopeless(&findings);
            thread::sleep(PEACE);
        }
        findings
    }

    fn stop_if_hopeless(&self, findings: &Findings) {
        if findings.is_hopeless() {
            self.limit.stop();
        }
    }
}

/// Stops the workers when it is dropped, whatever happened to the one who
/// watches.
struct Stop<'a>(&'a Limit);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

fn add(all: &Mutex<Findings>, findings: Findings) {
    all.lock().expect("no worker panicked").merge(findings);
}
