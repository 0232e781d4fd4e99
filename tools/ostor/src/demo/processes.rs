// SPDX-License-Identifier: GPL-2.0
//! The steps of the demo on processes and their values.

use std::collections::HashMap;
use std::time::Instant;

use anyhow::Result;
use nix::errno::Errno;
use ostor::device::{self, Error, Map, Mode, Owner};
use ostor::process::Child;
use ostor::settle;

use super::report::DemoReport;

/// Bytes per value.
const VALUE_SIZE: u32 = 32;

/// A process, and the value that it must have, if any.
struct Process {
    child: Child,
    value: Option<String>,
}

/// The processes and the first map.
pub(super) struct Processes {
    processes: Vec<Process>,
    map: Map,
}

/// The values of a map that was closed.
struct Closed {
    /// Number of values before the close.
    stored: u64,
    /// Number of values that were gone when the close returned.
    gone: u64,
}

impl Processes {
    /// Starts the processes and creates the map.
    pub(super) fn start(count: u32, report: &mut DemoReport<'_>) -> Result<Self> {
        let process = |_| Child::idle().map(|child| Process { child, value: None });
        let processes = (0..count).map(process).collect::<nix::Result<Vec<_>>>()?;
        let alive = alive(&processes)?;
        report.step(
            "start processes",
            format!("{alive} running"),
            alive == processes.len(),
        )?;
        Ok(Self {
            processes,
            map: Map::create(VALUE_SIZE)?,
        })
    }

    /// Stores a first value for each process, by its pidfd.
    pub(super) fn store(&mut self, report: &mut DemoReport<'_>) -> Result<()> {
        self.write("value", Mode::NoExist)?;
        let stored = usize::try_from(self.map.info()?.elements)?;
        let all = self.processes.len();
        report.count("store a value for each, by pidfd", stored, all)?;
        let first = Owner::task(&self.processes[0].child);
        let twice = self.map.update(first, b"again", Mode::NoExist);
        report.step(
            "store one again with --noexist",
            outcome(&twice),
            is(&twice, Errno::EEXIST),
        )
    }

    /// Reads all values.
    pub(super) fn read_back(&self, report: &mut DemoReport<'_>) -> Result<()> {
        report.count("read each back", self.right()?, self.processes.len())
    }

    /// Stores another value for each process.
    pub(super) fn update(&mut self, report: &mut DemoReport<'_>) -> Result<()> {
        self.write("update of", Mode::Exist)?;
        let right = self.right()?;
        report.count("update each and read it back", right, self.processes.len())
    }

    /// Deletes every fifth value, half of them by take.
    pub(super) fn delete_some(&mut self, report: &mut DemoReport<'_>) -> Result<()> {
        let (mut taken, mut takes) = (0, 0);
        for (i, process) in self.processes.iter_mut().enumerate().step_by(5) {
            let owner = Owner::task(&process.child);
            let value = process.value.take();
            if i % 10 == 0 {
                let elem = self.map.take(owner)?;
                takes += 1;
                taken += usize::from(value.is_some_and(|value| elem.value == padded(&value)));
            } else {
                self.map.delete(owner)?;
            }
        }
        report.count("delete some, returning the value", taken, takes)?;
        let right = self.right()?;
        report.count("delete some; the others stay", right, self.processes.len())?;
        let again = self.map.delete(Owner::task(&self.processes[0].child));
        report.step(
            "delete one again",
            outcome(&again),
            is(&again, Errno::ENOENT),
        )
    }

    /// Lists the map: it must have each remaining value once.
    pub(super) fn list(&self, report: &mut DemoReport<'_>) -> Result<()> {
        let mut listed = HashMap::new();
        let mut entries = 0;
        for item in self.map.list()? {
            entries += 1;
            listed.insert(item.entry.owner_id, item.value);
        }
        let with_value = self
            .processes
            .iter()
            .filter_map(|process| Some((process, process.value.as_ref()?)));
        let expected: HashMap<_, _> = with_value
            .map(|(process, value)| (process.child.pid().as_raw() as u64, padded(value)))
            .collect();
        report.step(
            "list the map",
            format!("{entries} entries for {} values", expected.len()),
            listed == expected && entries == expected.len(),
        )
    }

    /// Kills every fourth process, whose value then ends without a command.
    pub(super) fn kill_some(&mut self, report: &mut DemoReport<'_>) -> Result<()> {
        let before = self.map.info()?;
        let processes = std::mem::take(&mut self.processes).into_iter().enumerate();
        let (killed, staying): (Vec<_>, Vec<_>) = processes.partition(|(i, _)| i % 4 == 0);
        self.processes = staying.into_iter().map(|(_, process)| process).collect();
        let killed: Vec<_> = killed.into_iter().map(|(_, process)| process).collect();
        let with_value = killed.iter().filter(|process| process.value.is_some());
        let with_value = with_value.count() as u64;

        let start = Instant::now();
        kill(&killed)?;
        settle::until(|| Ok(self.map.info()?.elements == before.elements - with_value))?;
        let ms = start.elapsed().as_millis();
        let after = self.map.info()?;
        let died = after.owner_deaths - before.owner_deaths;
        report.step(
            format!(
                "kill {} processes, {with_value} of them with a value",
                killed.len()
            ),
            format!("{died} values gone within {ms} ms, {} left", after.elements),
            died == with_value && after.elements == before.elements - with_value && died > 0,
        )?;
        let right = self.right()?;
        report.count("read the survivors' values", right, self.processes.len())?;
        let owner = Owner::task(&killed[0].child);
        let dead = self.map.update(owner, b"late", Mode::Any);
        report.step(
            "store a value for a dead process",
            outcome(&dead),
            is(&dead, Errno::ESRCH),
        )
    }

    /// Closes a map while all of its owners live.
    pub(super) fn close_map_while_alive(&self, report: &mut DemoReport<'_>) -> Result<()> {
        let values = self.close_second_map(|| Ok(()))?;
        let alive = alive(&self.processes)?;
        report.step(
            "close a map while its owners live",
            format!(
                "{} of {} values gone, {alive} owners live on",
                values.gone, values.stored
            ),
            values.gone == values.stored && alive == self.processes.len(),
        )?;
        report.count(
            "read their values in the other map",
            self.right()?,
            self.processes.len(),
        )
    }

    /// Closes a map while all of its owners die.
    pub(super) fn close_map_while_dying(self, report: &mut DemoReport<'_>) -> Result<()> {
        let values = self.close_second_map(|| {
            let mut processes = self.processes.iter();
            processes.try_for_each(|process| process.child.kill())
        })?;
        let reaped = self
            .processes
            .iter()
            .filter(|process| process.child.reap().is_ok())
            .count();
        report.step(
            "close a map while its owners die",
            format!(
                "{} of {} values gone, {reaped} owners died",
                values.gone, values.stored
            ),
            values.gone == values.stored && reaped == self.processes.len(),
        )
    }

    /// Gives each process a value in a second map, calls `before_close`, and closes that
    /// map immediately.
    fn close_second_map(&self, before_close: impl FnOnce() -> nix::Result<()>) -> Result<Closed> {
        let map = Map::create(VALUE_SIZE)?;
        for process in &self.processes {
            let owner = Owner::task(&process.child);
            map.update(owner, b"in the second map", Mode::NoExist)?;
        }
        let stored = map.info()?.elements;
        // What died before is freed a grace period later, and is not of this map.
        settle::until(|| Ok(device::stats()?.pending == 0))?;
        let before = device::stats()?;
        before_close()?;
        drop(map);
        let after = device::stats()?;
        Ok(Closed {
            stored,
            gone: after.dropped - before.dropped,
        })
    }

    /// Stores for each process a value that names it.
    fn write(&mut self, what: &str, mode: Mode) -> Result<()> {
        for process in &mut self.processes {
            let value = format!("{what} process {}", process.child.pid());
            self.map
                .update(Owner::task(&process.child), value.as_bytes(), mode)?;
            process.value = Some(value);
        }
        Ok(())
    }

    /// The number of processes that have exactly the value they must have, or none.
    fn right(&self) -> Result<usize> {
        let mut right = 0;
        for process in &self.processes {
            let found = self.map.get(Owner::task(&process.child));
            right += usize::from(match &process.value {
                Some(value) => found?.value == padded(value),
                None => is(&found, Errno::ENOENT),
            });
        }
        Ok(right)
    }
}

fn kill(processes: &[Process]) -> nix::Result<()> {
    for process in processes {
        process.child.kill()?;
    }
    for process in processes {
        process.child.reap()?;
    }
    Ok(())
}

fn alive(processes: &[Process]) -> nix::Result<usize> {
    let alive = processes.iter().map(|process| process.child.is_alive());
    let alive = alive.collect::<nix::Result<Vec<_>>>()?;
    Ok(alive.into_iter().filter(|&alive| alive).count())
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
