// SPDX-License-Identifier: GPL-2.0
//! The demo's acts on processes and their values.

use std::collections::HashMap;
use std::time::Instant;

use anyhow::Result;
use nix::errno::Errno;
use ostor::device::{self, Error, Map, Mode, Owner};
use ostor::process::Child;
use ostor::recursion::Case;
use ostor::settle;

use super::report::Report;
use crate::recurse;

/// Bytes per value.
const VALUE_SIZE: u32 = 32;

/// A process and what its value should be, if it should have one.
struct Actor {
    process: Child,
    value: Option<String>,
}

/// The processes and the first map.
pub(crate) struct Stage {
    actors: Vec<Actor>,
    map: Map,
}

/// What closing a map came to.
struct Closed {
    /// Values it held.
    stored: u64,
    /// Values that were gone when the close returned.
    gone: u64,
}

impl Stage {
    /// Starts the processes and creates the map.
    pub(crate) fn new(processes: u32, report: &mut Report<'_>) -> Result<Self> {
        let actor = |_| {
            Child::idle().map(|process| Actor {
                process,
                value: None,
            })
        };
        let actors = (0..processes).map(actor).collect::<nix::Result<Vec<_>>>()?;
        let alive = living(&actors)?;
        report.row(
            "start processes",
            format!("{alive} running"),
            alive == actors.len(),
        );
        Ok(Self {
            actors,
            map: Map::create(VALUE_SIZE)?,
        })
    }

    /// A first value for each, found by pidfd.
    pub(crate) fn store(&mut self, report: &mut Report<'_>) -> Result<()> {
        self.write("value", Mode::NoExist)?;
        let stored = usize::try_from(self.map.info()?.elements)?;
        report.count(
            "store a value for each, by pidfd",
            stored,
            self.actors.len(),
        );
        let twice = self.map.update(
            Owner::task(&self.actors[0].process),
            b"again",
            Mode::NoExist,
        );
        report.row(
            "store one again with --noexist",
            outcome(&twice),
            is(&twice, Errno::EEXIST),
        );
        Ok(())
    }

    /// All values again.
    pub(crate) fn read_back(&self, report: &mut Report<'_>) -> Result<()> {
        report.count("read each back", self.right()?, self.actors.len());
        Ok(())
    }

    /// Another value for each.
    pub(crate) fn update(&mut self, report: &mut Report<'_>) -> Result<()> {
        self.write("update of", Mode::Exist)?;
        report.count(
            "update each and read it back",
            self.right()?,
            self.actors.len(),
        );
        Ok(())
    }

    /// Every fifth value goes, by delete or by take.
    pub(crate) fn delete_some(&mut self, report: &mut Report<'_>) -> Result<()> {
        let (mut taken, mut takes) = (0, 0);
        for (i, actor) in self.actors.iter_mut().enumerate().step_by(5) {
            let owner = Owner::task(&actor.process);
            let value = actor.value.take();
            if i % 10 == 0 {
                let elem = self.map.take(owner)?;
                takes += 1;
                taken += usize::from(value.is_some_and(|value| elem.value == padded(&value)));
            } else {
                self.map.delete(owner)?;
            }
        }
        report.count("delete some, returning the value", taken, takes);
        report.count(
            "delete some; the others stay",
            self.right()?,
            self.actors.len(),
        );
        let again = self.map.delete(Owner::task(&self.actors[0].process));
        report.row(
            "delete one again",
            outcome(&again),
            is(&again, Errno::ENOENT),
        );
        Ok(())
    }

    /// The list holds every value that is left, once.
    pub(crate) fn list(&self, report: &mut Report<'_>) -> Result<()> {
        let mut listed = HashMap::new();
        let mut entries = 0;
        for item in self.map.list()? {
            entries += 1;
            listed.insert(item.entry.owner_id, item.value);
        }
        let with_value = self
            .actors
            .iter()
            .filter_map(|actor| Some((actor, actor.value.as_ref()?)));
        let expected: HashMap<_, _> = with_value
            .map(|(actor, value)| (actor.process.pid().as_raw() as u64, padded(value)))
            .collect();
        let came_out = format!("{entries} entries for {} values", expected.len());
        report.row(
            "list the map",
            came_out,
            listed == expected && entries == expected.len(),
        );
        Ok(())
    }

    /// Every fourth process is killed; its value goes without anyone asking.
    pub(crate) fn kill_some(&mut self, report: &mut Report<'_>) -> Result<()> {
        let before = self.map.info()?;
        let actors = std::mem::take(&mut self.actors).into_iter().enumerate();
        let (doomed, staying): (Vec<_>, Vec<_>) = actors.partition(|(i, _)| i % 4 == 0);
        self.actors = staying.into_iter().map(|(_, actor)| actor).collect();
        let doomed: Vec<_> = doomed.into_iter().map(|(_, actor)| actor).collect();
        let with_value = doomed.iter().filter(|actor| actor.value.is_some()).count() as u64;

        let start = Instant::now();
        kill(&doomed)?;
        settle::until(|| Ok(self.map.info()?.elements == before.elements - with_value))?;
        let ms = start.elapsed().as_millis();
        let after = self.map.info()?;
        let died = after.owner_deaths - before.owner_deaths;
        report.row(
            format!(
                "kill {} processes, {with_value} of them with a value",
                doomed.len()
            ),
            format!("{died} values gone within {ms} ms, {} left", after.elements),
            died == with_value && after.elements == before.elements - with_value && died > 0,
        );
        report.count(
            "read the survivors' values",
            self.right()?,
            self.actors.len(),
        );
        let dead = self
            .map
            .update(Owner::task(&doomed[0].process), b"late", Mode::Any);
        report.row(
            "store a value for a dead process",
            outcome(&dead),
            is(&dead, Errno::ESRCH),
        );
        Ok(())
    }

    /// A map is closed while all of its owners live on.
    pub(crate) fn free_map_of_the_living(&self, report: &mut Report<'_>) -> Result<()> {
        let elements = self.close_second_map(|| Ok(()))?;
        let alive = living(&self.actors)?;
        report.row(
            "close a map while its owners live",
            format!(
                "{} of {} values gone, {alive} owners live on",
                elements.gone, elements.stored
            ),
            elements.gone == elements.stored && alive == self.actors.len(),
        );
        report.count(
            "read their values in the other map",
            self.right()?,
            self.actors.len(),
        );
        Ok(())
    }

    /// A map is closed while all of its owners die.
    pub(crate) fn free_map_of_the_dying(self, report: &mut Report<'_>) -> Result<()> {
        let elements = self.close_second_map(|| {
            self.actors
                .iter()
                .try_for_each(|actor| actor.process.kill())
        })?;
        let reaped = self
            .actors
            .iter()
            .filter(|actor| actor.process.reap().is_ok())
            .count();
        report.row(
            "close a map while its owners die",
            format!(
                "{} of {} values gone, {reaped} owners died",
                elements.gone, elements.stored
            ),
            elements.gone == elements.stored && reaped == self.actors.len(),
        );
        Ok(())
    }

    /// Gives each process a value in a second map, calls `meanwhile`, and
    /// closes that map at once.
    fn close_second_map(&self, meanwhile: impl FnOnce() -> nix::Result<()>) -> Result<Closed> {
        let map = Map::create(VALUE_SIZE)?;
        for actor in &self.actors {
            map.update(
                Owner::task(&actor.process),
                b"in the second map",
                Mode::NoExist,
            )?;
        }
        let stored = map.info()?.elements;
        let before = device::stats()?;
        meanwhile()?;
        drop(map);
        let after = device::stats()?;
        Ok(Closed {
            stored,
            gone: after.dropped - before.dropped,
        })
    }

    /// Stores a value that names the process, for each.
    fn write(&mut self, what: &str, mode: Mode) -> Result<()> {
        for actor in &mut self.actors {
            let value = format!("{what} process {}", actor.process.pid());
            self.map
                .update(Owner::task(&actor.process), value.as_bytes(), mode)?;
            actor.value = Some(value);
        }
        Ok(())
    }

    /// How many processes have exactly the value they should have, or none.
    fn right(&self) -> Result<usize> {
        let mut right = 0;
        for actor in &self.actors {
            let found = self.map.get(Owner::task(&actor.process));
            right += usize::from(match &actor.value {
                Some(value) => found?.value == padded(value),
                None => is(&found, Errno::ENOENT),
            });
        }
        Ok(right)
    }
}

/// One operation inside another, at each point.
pub(crate) fn recursion(report: &mut Report<'_>) -> Result<()> {
    let tried = recurse::try_all(&Case::story())?;
    report.line("one operation inside another, as the outer one holds a lock:");
    report.line(recurse::as_table(&tried).to_string());
    let right = tried.iter().filter(|tried| tried.ok).count();
    let cycles = tried.iter().filter(|tried| tried.cycled()).count();
    report.row(
        "run one operation inside another",
        format!(
            "{right} of {} right; {cycles} lock cycles: EDEADLK, then ok",
            tried.len()
        ),
        right == tried.len() && cycles > 0,
    );
    Ok(())
}

fn kill(actors: &[Actor]) -> nix::Result<()> {
    actors.iter().try_for_each(|actor| actor.process.kill())?;
    actors
        .iter()
        .try_for_each(|actor| actor.process.reap().map(drop))
}

fn living(actors: &[Actor]) -> nix::Result<usize> {
    let alive = actors.iter().map(|actor| actor.process.is_alive());
    Ok(alive
        .collect::<nix::Result<Vec<_>>>()?
        .into_iter()
        .filter(|&alive| alive)
        .count())
}

fn padded(text: &str) -> Vec<u8> {
    let mut value = text.as_bytes().to_vec();
    value.resize(VALUE_SIZE as usize, 0);
    value
}

fn is<T>(result: &device::Result<T>, errno: Errno) -> bool {
    matches!(result, Err(Error::Refused { errno: found, .. }) if *found == errno)
}

fn outcome<T>(result: &device::Result<T>) -> String {
    match result {
        Ok(_) => "ok".into(),
        Err(error) => format!("{:?}", error.errno()),
    }
}
