// SPDX-License-Identifier: GPL-2.0
//! Long sequences of commands. Each must have the result that a simple model predicts. The
//! same sequences run on the host, see `model/`.

use std::env;
use std::fs;

use anyhow::{Context, Error, Result, bail, ensure};
use nix::errno::Errno;
use ostor::device::{self, Map, Mode, Owner, list_owner};
use ostor::process::Child;
use ostor::settle;
use sequence::{Entry, MAPS, OWNERS, Op, Outcome, Step, Stored, Subject, Total};

crate::suite![as_the_plain_model];

/// Number of seeds unless `SEQUENCE_SEEDS` is set. Each has [`SEQUENCES`] of up to
/// [`STEPS`].
const SEEDS: u64 = 2;
const SEQUENCES: u32 = 8;
const STEPS: usize = 150;

fn new_map() -> device::Result<Map> {
    Map::create(size_of::<u64>() as u32)
}

/// The device, with a process for each owner.
struct Device {
    owners: [Process; OWNERS],
    maps: [Option<Map>; MAPS],
}

/// A process that is reaped once.
struct Process {
    child: Child,
    alive: bool,
}

impl Process {
    /// Starts the process. It inherits the maps' descriptors: a map stays open until the
    /// process has closed them.
    fn start() -> Result<Self> {
        let child = Child::idle()?;
        let descriptors = format!("/proc/{}/fd", child.pid());
        let holds_none = settle::until(|| {
            let mut entries = fs::read_dir(&descriptors).into_iter().flatten();
            Ok(entries.next().is_none())
        })?;
        ensure!(holds_none, "a process keeps its descriptors");
        Ok(Self { child, alive: true })
    }
}

impl Device {
    fn new() -> Result<Self> {
        Ok(Self {
            owners: [
                Process::start()?,
                Process::start()?,
                Process::start()?,
                Process::start()?,
            ],
            maps: [Some(new_map()?), Some(new_map()?), Some(new_map()?)],
        })
    }

    fn run(&mut self, op: Op) -> Result<Outcome> {
        match op {
            Op::Get { map, owner } => self.element(map, owner, |map, owner| {
                found(map.get(owner).map(|elem| Some(value(&elem.value))))
            }),
            Op::Create { map, owner, value } => self.element(map, owner, |map, owner| {
                stored(map.get_or_create(owner, &value.to_ne_bytes()))
            }),
            Op::Update {
                map,
                owner,
                mode,
                value,
            } => self.element(map, owner, |map, owner| {
                stored(map.update(owner, &value.to_ne_bytes(), as_mode(mode)))
            }),
            Op::Delete { map, owner } => self.element(map, owner, |map, owner| {
                outcome(map.delete(owner).map(|()| Outcome::Done))
            }),
            Op::Take { map, owner } => self.element(map, owner, |map, owner| {
                outcome(
                    map.take(owner)
                        .map(|elem| Outcome::Value(Some(value(&elem.value)))),
                )
            }),
            Op::List { map } => self.list(map),
            Op::ListOwner { owner } => self.list_owner(owner),
            Op::Kill { owner } => self.kill(owner),
            Op::Renew { owner } => {
                self.kill(owner)?;
                self.owners[owner] = Process::start()?;
                Ok(Outcome::Done)
            }
            Op::Close { map } => {
                self.maps[map] = None;
                Ok(Outcome::Done)
            }
            Op::Reopen { map } => {
                self.maps[map] = None;
                self.maps[map] = Some(new_map()?);
                Ok(Outcome::Done)
            }
            Op::Settle => self.settle(),
        }
    }

    /// Runs a command on an element, also after the death of its owner.
    fn element(
        &self,
        map: usize,
        owner: usize,
        command: impl FnOnce(&Map, Owner<'_>) -> Result<Outcome>,
    ) -> Result<Outcome> {
        let Some(map) = &self.maps[map] else {
            return Ok(Outcome::Closed);
        };
        command(map, Owner::task(&self.owners[owner].child))
    }

    fn list(&self, map: usize) -> Result<Outcome> {
        let Some(map) = &self.maps[map] else {
            return Ok(Outcome::Closed);
        };
        let mut entries = Vec::new();
        for item in map.list()? {
            let id = item.entry.owner_id;
            let is_it = |owner: &Process| owner.child.pid().as_raw() as u64 == id;
            let place = self.owners.iter().position(is_it);
            entries.push(Entry {
                place: place.with_context(|| format!("process {id} is listed"))?,
                seq: item.entry.seq,
            });
        }
        entries.sort();
        Ok(Outcome::Listed(entries))
    }

    fn list_owner(&self, owner: usize) -> Result<Outcome> {
        let owner = Owner::task(&self.owners[owner].child);
        let owned = match list_owner(&device::open()?, owner) {
            Ok(owned) => owned,
            Err(error) => return outcome(Err(error)),
        };
        let mut ids = [None; MAPS];
        for (id, map) in ids.iter_mut().zip(&self.maps) {
            *id = map.as_ref().map(Map::info).transpose()?.map(|info| info.id);
        }
        let mut entries = Vec::new();
        for entry in owned {
            let place = ids.iter().position(|id| *id == Some(entry.map_id));
            entries.push(Entry {
                place: place.with_context(|| format!("map {} is listed", entry.map_id))?,
                seq: entry.seq,
            });
        }
        entries.sort();
        Ok(Outcome::Listed(entries))
    }

    /// Kills the process, and waits until the module has noticed its death.
    fn kill(&mut self, owner: usize) -> Result<Outcome> {
        let owner = &mut self.owners[owner];
        if !owner.alive {
            return Ok(Outcome::Done);
        }
        let mut left = [None; MAPS];
        for (left, map) in left.iter_mut().zip(&self.maps) {
            let Some(map) = map else { continue };
            let has = map.get(Owner::task(&owner.child)).is_ok();
            *left = Some(map.info()?.elements - u64::from(has));
        }
        owner.child.kill_and_reap()?;
        owner.alive = false;
        let noticed = settle::until(|| {
            for (left, map) in left.iter().zip(&self.maps) {
                let now = map.as_ref().map(Map::info).transpose()?;
                if now.map(|info| info.elements) != *left {
                    return Ok(false);
                }
            }
            Ok(true)
        })?;
        ensure!(noticed, "the elements of a dead process are left");
        Ok(Outcome::Done)
    }

    /// Waits until all dead elements are freed.
    fn settle(&self) -> Result<Outcome> {
        for map in self.maps.iter().flatten() {
            let freed = settle::until(|| Ok(map.info()?.pending == 0))?;
            ensure!(freed, "dead elements are not freed");
        }
        Ok(Outcome::Done)
    }
}

fn value(bytes: &[u8]) -> u64 {
    u64::from_ne_bytes(bytes.try_into().unwrap_or_default())
}

fn as_mode(mode: sequence::Mode) -> Mode {
    match mode {
        sequence::Mode::Any => Mode::Any,
        sequence::Mode::NoExist => Mode::NoExist,
        sequence::Mode::Exist => Mode::Exist,
    }
}

fn stored(result: device::Result<device::Elem>) -> Result<Outcome> {
    outcome(result.map(|elem| {
        Outcome::Stored(Stored {
            value: value(&elem.value),
            seq: elem.seq,
            created: elem.created,
        })
    }))
}

/// The result of a lookup. In the model a missing element is not an error.
fn found(result: device::Result<Option<u64>>) -> Result<Outcome> {
    Ok(match outcome(result.map(Outcome::Value))? {
        Outcome::Missing => Outcome::Value(None),
        outcome => outcome,
    })
}

/// The result of a command, from its errno value.
fn outcome(result: device::Result<Outcome>) -> Result<Outcome> {
    match result {
        Ok(outcome) => Ok(outcome),
        Err(device::Error::Refused { errno, .. }) => match errno {
            Errno::EEXIST => Ok(Outcome::Exists),
            Errno::ENOENT => Ok(Outcome::Missing),
            Errno::ESRCH => Ok(Outcome::Dead),
            // No lock and no allocation fails here, so these are errors of the test.
            errno => bail!("refused with {errno}"),
        },
        Err(error) => Err(error.into()),
    }
}

impl Subject for Device {
    fn apply(&mut self, step: &Step) -> Result<Outcome, String> {
        self.run(step.op).map_err(|error| format!("{error:#}"))
    }

    fn elements(&mut self, map: usize) -> Result<u64, String> {
        let map = self.maps[map].as_ref().ok_or("the map is closed")?;
        let info = map.info().map_err(|error| error.to_string())?;
        Ok(info.elements)
    }
}

fn replay(steps: &[Step]) -> Result<Total, String> {
    let mut device = Device::new().map_err(|error| format!("{error:#}"))?;
    sequence::replay(steps, &mut device)
}

fn as_the_plain_model() -> Result<()> {
    let seeds = match env::var("SEQUENCE_SEEDS") {
        Ok(seeds) => seeds.parse().context("SEQUENCE_SEEDS must be a number")?,
        Err(_) => SEEDS,
    };
    let total = sequence::seeds(0..seeds, SEQUENCES, STEPS, replay).map_err(Error::msg)?;
    ensure!(total.operations > seeds * u64::from(SEQUENCES));
    Ok(())
}
