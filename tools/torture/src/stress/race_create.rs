// SPDX-License-Identifier: GPL-2.0
//! Two CPUs create the same element at the same moment.

use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use ostor::device::{self, Elem, Map, Owner};
use ostor::process::Child;

use super::gate::Gate;
use crate::cpus;
use ostor::exit::UsageError;
use ostor::progress::Progress;
use ostor::report::Report;

/// The state that both threads share.
struct Race<'a> {
    rounds: u64,
    map: &'a Map,
    owner: Owner<'a>,
    gate: Gate,
    results: [Mutex<Option<device::Result<Elem>>>; 2],
    report: Mutex<Report>,
}

/// Runs `rounds` races.
pub(crate) fn run(rounds: u64) -> Result<Report> {
    let cpus = cpus::usable()?;
    let &[first, second, ..] = cpus.as_slice() else {
        let text = "two CPUs must create at once, but only one is online; start with --smp 2";
        return Err(UsageError(text.to_owned()).into());
    };
    let before = device::stats()?;
    let process = Child::idle()?;
    let map = Map::create(16)?;
    let race = Race {
        rounds,
        map: &map,
        owner: Owner::task(&process),
        gate: Gate::default(),
        results: Default::default(),
        report: Mutex::default(),
    };
    thread::scope(|scope| -> Result<()> {
        let sides = [first, second].into_iter().enumerate();
        let sides = sides.map(|(side, cpu)| {
            let race = &race;
            scope.spawn(move || race.side(side, cpu))
        });
        let sides: Vec<_> = sides.collect();
        let mut progress = Progress::new("rounds", rounds);
        while !sides.iter().all(|side| side.is_finished()) {
            thread::sleep(Duration::from_millis(50));
            progress.at(race.gate.passed() / 2);
        }
        sides
            .into_iter()
            .try_for_each(|side| side.join().expect("a side does not panic"))
    })?;

    let mut report = race.report.into_inner().expect("no side panicked");
    let info = map.info()?;
    report.add("rounds", rounds);
    report.expect("elements ever created", info.created, rounds);
    report.expect("elements deleted", info.deleted, rounds);
    drop(map);
    report.expect_nothing_left(&before)?;
    Ok(report)
}

impl Race<'_> {
    /// One thread: creates at the same moment as the other. The threads check and delete
    /// alternately, so that neither is always the first at the gate.
    fn side(&self, side: usize, cpu: usize) -> Result<()> {
        cpus::bind_to(cpu)?;
        for round in 0..self.rounds {
            let value = ((round << 1) | side as u64).to_ne_bytes();
            self.gate.pass();
            let result = self.map.get_or_create(self.owner, &value);
            *self.results[side].lock().expect("no side panicked") = Some(result);
            self.gate.pass();
            if round % 2 == side as u64 {
                self.check(round);
            }
        }
        Ok(())
    }

    /// Checks a round, and deletes its element.
    fn check(&self, round: u64) {
        let [a, b] = [0, 1].map(|side| self.results[side].lock().expect("no side panicked").take());
        let mut report = self.report.lock().expect("no side panicked");
        let mut problem = |text| report.problem(format!("round {round}: {text}"));
        match (a, b) {
            (Some(Ok(a)), Some(Ok(b))) => {
                if a.seq != b.seq || a.value != b.value {
                    problem(format!("two elements: {a:?} and {b:?}"));
                }
                if a.created == b.created {
                    problem(format!(
                        "created by {}",
                        if a.created { "both" } else { "neither" }
                    ));
                }
                report.add("created by the first CPU", a.created.into());
                report.add("created by the second CPU", b.created.into());
            }
            other => problem(format!("an error: {other:?}")),
        }
        match self.map.info() {
            Ok(info) => report.expect("elements in a round", info.elements, 1),
            Err(error) => report.problem(error.to_string()),
        }
        if let Err(error) = self.map.delete(self.owner) {
            report.problem(format!("round {round}: {error}"));
        }
    }
}
