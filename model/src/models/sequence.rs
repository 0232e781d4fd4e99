// SPDX-License-Identifier: GPL-2.0

//! Long sequences on one CPU. After each operation, the storage is compared with the reference.

use crate::{
    explore::{
        number,
        runtime,
        Explore, //
    },
    mock::{
        Mock,
        ROOM, //
    },
    storage::{
        create,
        error::Refusal,
        map::{
            ByteMap,
            Stored, //
        },
        owner::Owner,
        walk::Cursor, //
    },
    sync::{
        fault::{
            self,
            Plan,
            Site, //
        },
        rcu::{
            self,
            Guard, //
        }, //
    },
};
use sequence::{
    Entry,
    Fault,
    Mode,
    Op,
    Outcome,
    Step,
    Subject,
    Total,
    MAPS,
    OWNERS, //
};
use std::sync::{
    Arc,
    Mutex, //
};

/// The number of seeds, unless `SEQUENCE_SEEDS` is set. Each gives [`SEQUENCES`] sequences of
/// [`STEPS`] steps at most.
const SEEDS: u64 = 4;
const SEQUENCES: u32 = 64;
const STEPS: usize = 400;

/// The storage's code, with an address for each place of an owner.
struct Machine {
    owners: [&'static Mock; OWNERS],
    maps: [Option<ByteMap>; MAPS],
    /// The number of owners that were made. It is their serial number.
    born: u64,
}

const SIZE: usize = size_of::<u64>();

fn value(bytes: &[u8]) -> u64 {
    u64::from_ne_bytes(bytes.try_into().expect("the maps' values are numbers"))
}

fn map() -> Option<ByteMap> {
    Some(ByteMap::new(SIZE).expect("no map"))
}

impl Machine {
    fn new() -> Self {
        let mut born = 0;
        Self {
            owners: std::array::from_fn(|place| Self::owner(place, &mut born)),
            maps: std::array::from_fn(|_| map()),
            born,
        }
    }

    fn owner(place: usize, born: &mut u64) -> &'static Mock {
        *born += 1;
        Mock::new(0x10_0000 + place * 0x1000, *born, Some(ROOM))
    }

    fn store(&self, at: usize, owner: usize, mode: create::Mode, number: u64) -> Outcome {
        let Some(map) = &self.maps[at] else {
            return Outcome::Closed;
        };
        let (owner, rcu) = (self.owners[owner], rcu::read_lock());
        match map.put(owner, mode, &number.to_ne_bytes(), &rcu) {
            Ok(stored) => Outcome::Stored(as_stored(&stored)),
            Err(refusal) => of_living(owner, refused(refusal)),
        }
    }

    fn look(
        &self,
        at: usize,
        owner: usize,
        look: impl FnOnce(&ByteMap, &'static Mock, &Guard) -> Outcome,
    ) -> Outcome {
        let Some(map) = &self.maps[at] else {
            return Outcome::Closed;
        };
        let owner = self.owners[owner];
        of_living(owner, look(map, owner, &rcu::read_lock()))
    }

    fn list(&self, at: usize) -> Outcome {
        let Some(map) = &self.maps[at] else {
            return Outcome::Closed;
        };
        let (mut cursor, mut entries) = (Cursor::default(), Vec::new());
        let rcu = rcu::read_lock();
        while let Some((elem, label)) = map.raw().next(&mut cursor, &rcu) {
            let shown = |owner: &&Mock| owner.id().serial() == label.id;
            let place = self.owners.iter().position(shown);
            entries.push(Entry {
                place: place.expect("an unknown owner is listed"),
                seq: elem.seq(),
            });
        }
        entries.sort();
        Outcome::Listed(entries)
    }

    fn list_owner(&self, owner: usize) -> Outcome {
        let owner = self.owners[owner];
        let (mut after, mut entries) = (0, Vec::new());
        let rcu = rcu::read_lock();
        while let Some(elem) = runtime().next_of(owner.id(), after, &rcu) {
            after = elem.map().id();
            let is_it = |map: &ByteMap| map.raw().id() == after;
            let place = self
                .maps
                .iter()
                .position(|map| map.as_ref().is_some_and(is_it));
            entries.push(Entry {
                place: place.expect("an element of an unknown map is listed"),
                seq: elem.seq(),
            });
        }
        entries.sort();
        if owner.is_alive() {
            return Outcome::Listed(entries);
        }
        assert!(entries.is_empty(), "an element of a dead owner is listed");
        Outcome::Dead
    }

    fn kill(&self, owner: usize) {
        if self.owners[owner].is_alive() {
            self.owners[owner].die();
        }
    }
}

/// Turns the outcome that a dead owner has no element into [`Outcome::Dead`].
fn of_living(owner: &Mock, outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Value(None) | Outcome::Missing if !owner.is_alive() => Outcome::Dead,
        outcome => outcome,
    }
}

fn as_stored(stored: &Stored<&[u8]>) -> sequence::Stored {
    sequence::Stored {
        value: value(stored.value),
        seq: stored.seq,
        created: stored.created,
    }
}

fn refused(refusal: Refusal) -> Outcome {
    match refusal {
        Refusal::Exists => Outcome::Exists,
        Refusal::Missing => Outcome::Missing,
        Refusal::OwnerDead => Outcome::Dead,
        Refusal::Lock(_) | Refusal::NoMemory => Outcome::Refused,
        Refusal::Unsupported => panic!("the mock refuses nothing"),
    }
}

fn plan(faults: &[Fault]) -> Plan {
    faults.iter().fold(Plan::NONE, |plan, fault| {
        let site = match fault {
            Fault::LinkLock => Site::LinkLock,
            Fault::UnlinkLock => Site::UnlinkLock,
            Fault::BucketLock => Site::BucketLock,
            Fault::IndexLock => Site::IndexLock,
            Fault::ElementAlloc => Site::ElementAlloc,
            Fault::StorageAlloc => Site::StorageAlloc,
        };
        plan.fail(site, 1)
    })
}

impl Machine {
    fn run(&mut self, op: Op) -> Outcome {
        match op {
            Op::Get { map, owner } => self.look(map, owner, |map, owner, rcu| {
                Outcome::Value(map.get_by_id(owner.id(), rcu).map(value))
            }),
            Op::Create { map, owner, value } => self.store(map, owner, create::Mode::Get, value),
            Op::Update {
                map,
                owner,
                mode,
                value,
            } => {
                let mode = match mode {
                    Mode::Any => create::Mode::Any,
                    Mode::NoExist => create::Mode::NoExist,
                    Mode::Exist => create::Mode::Exist,
                };
                self.store(map, owner, mode, value)
            }
            Op::Delete { map, owner } => self.look(map, owner, |map, owner, rcu| {
                match map.raw().delete(owner.id(), rcu) {
                    Some(_) => Outcome::Done,
                    None => refused(Refusal::Missing),
                }
            }),
            Op::Take { map, owner } => self.look(map, owner, |map, owner, rcu| {
                match map.raw().delete(owner.id(), rcu) {
                    Some(elem) => Outcome::Value(Some(value(map.value(elem)))),
                    None => refused(Refusal::Missing),
                }
            }),
            Op::List { map } => self.list(map),
            Op::ListOwner { owner } => self.list_owner(owner),
            Op::Kill { owner } => {
                self.kill(owner);
                Outcome::Done
            }
            Op::Renew { owner } => {
                self.kill(owner);
                self.owners[owner] = Self::owner(owner, &mut self.born);
                Outcome::Done
            }
            Op::Close { map } => {
                self.maps[map] = None;
                Outcome::Done
            }
            Op::Reopen { map: at } => {
                self.maps[at] = None;
                self.maps[at] = map();
                Outcome::Done
            }
            Op::Settle => {
                runtime().flush();
                Outcome::Done
            }
        }
    }
}

impl Subject for Machine {
    fn apply(&mut self, step: &Step) -> Result<Outcome, String> {
        fault::begin(plan(&step.faults));
        Ok(self.run(step.op))
    }

    fn elements(&mut self, map: usize) -> Result<u64, String> {
        let map = self.maps[map].as_ref().ok_or("the map is closed")?;
        Ok(map.raw().counters().elements())
    }
}

/// Replays a sequence in an execution of its own. At its end nothing may be left.
fn replay(steps: &[Step]) -> Result<Total, String> {
    let steps = steps.to_vec();
    let result = Arc::new(Mutex::new(Err("the execution has not ended".into())));
    let results = result.clone();
    Explore::new("sequence").once(move || {
        let result = sequence::replay(&steps, &mut Machine::new());
        fault::begin(Plan::NONE);
        *results.lock().unwrap() = result;
    });
    let result = result.lock().unwrap();
    result.clone()
}

#[test]
fn sequences_are_as_the_plain_model() {
    let seeds = number("SEQUENCE_SEEDS").unwrap_or(SEEDS);
    let total = sequence::seeds(0..seeds, SEQUENCES, STEPS, replay).unwrap_or_else(|why| {
        panic!("{why}");
    });
    eprintln!("sequences: {total:?}, {seeds} seeds");
    assert!(total.refused > 0, "no fault was met");
}
