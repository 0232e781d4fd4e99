// SPDX-License-Identifier: GPL-2.0

//! The reference: what each operation must return, without locks, lists and pointers.

use crate::op::{
    Mode,
    Op,
    MAPS,
    OWNERS, //
};
use std::collections::BTreeMap;

/// The result of a create or update.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Stored {
    /// The value.
    pub value: u64,
    /// The sequence number of the element. Elements are numbered from 1 in the order in which they
    /// are created in their map. An update keeps the number.
    pub seq: u64,
    /// Whether the operation created the element, and did not replace another one.
    pub created: bool,
}

/// An entry of a list: in the list of a map, `place` is that of the owner; in the list of an owner,
/// it is that of the map.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Entry {
    /// The place of the owner or map.
    pub place: usize,
    /// The sequence number of the element.
    pub seq: u64,
}

/// The outcome of an operation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The operation succeeded, and returns nothing.
    Done,
    /// The value of the owner, if it has one.
    Value(Option<u64>),
    /// What is stored.
    Stored(Stored),
    /// Refused, since there is an element.
    Exists,
    /// Refused, since there is no element.
    Missing,
    /// Refused, since the owner is dead.
    Dead,
    /// The map is closed.
    Closed,
    /// A list, sorted.
    Listed(Vec<Entry>),
    /// Refused for lack of a lock or memory.
    Refused,
}

#[derive(Copy, Clone)]
struct Element {
    value: u64,
    seq: u64,
}

/// A map: its elements by the places of their owners.
#[derive(Clone, Default)]
struct Map {
    created: u64,
    elements: BTreeMap<usize, Element>,
}

/// The reference.
pub(crate) struct Reference {
    alive: [bool; OWNERS],
    maps: [Option<Map>; MAPS],
}

impl Reference {
    /// All owners are alive, and all maps are open and empty.
    pub(crate) fn new() -> Self {
        Self {
            alive: [true; OWNERS],
            maps: std::array::from_fn(|_| Some(Map::default())),
        }
    }

    /// The number of elements of a map, if it is open.
    pub(crate) fn elements(&self, map: usize) -> Option<u64> {
        Some(self.maps[map].as_ref()?.elements.len() as u64)
    }

    /// Runs an operation.
    pub(crate) fn apply(&mut self, op: Op) -> Outcome {
        match op {
            Op::Get { map, owner } => self.element(map, owner, |map| {
                Outcome::Value(map.elements.get(&owner).map(|element| element.value))
            }),
            Op::Create { map, owner, value } => self.element(map, owner, |map| {
                map.store(owner, |old| old.map_or(value, |old| old.value))
            }),
            Op::Update {
                map,
                owner,
                mode,
                value,
            } => self.element(map, owner, |map| {
                match (mode, map.elements.contains_key(&owner)) {
                    (Mode::NoExist, true) => Outcome::Exists,
                    (Mode::Exist, false) => Outcome::Missing,
                    _ => map.store(owner, |_| value),
                }
            }),
            Op::Delete { map, owner } => {
                self.element(map, owner, |map| match map.elements.remove(&owner) {
                    Some(_) => Outcome::Done,
                    None => Outcome::Missing,
                })
            }
            Op::Take { map, owner } => {
                self.element(map, owner, |map| match map.elements.remove(&owner) {
                    Some(element) => Outcome::Value(Some(element.value)),
                    None => Outcome::Missing,
                })
            }
            Op::List { map } => match &self.maps[map] {
                Some(map) => Outcome::Listed(map.list()),
                None => Outcome::Closed,
            },
            Op::ListOwner { owner } => self.list_owner(owner),
            Op::Kill { owner } => self.kill(owner, false),
            Op::Renew { owner } => self.kill(owner, true),
            Op::Close { map } => self.replace(map, None),
            Op::Reopen { map } => self.replace(map, Some(Map::default())),
            Op::Settle => Outcome::Done,
        }
    }

    /// Returns whether the operation may also be refused for lack of a lock or memory: it stores a
    /// new element.
    pub(crate) fn may_be_refused(&self, op: Op) -> bool {
        let has = |map: usize, owner| {
            let map = self.maps[map].as_ref();
            map.is_some_and(|map| map.elements.contains_key(&owner))
        };
        let ready = |map: usize, owner: usize| self.alive[owner] && self.maps[map].is_some();
        match op {
            Op::Create { map, owner, .. } => ready(map, owner) && !has(map, owner),
            Op::Update {
                map, owner, mode, ..
            } => {
                let fits = match mode {
                    Mode::Any => true,
                    Mode::NoExist => !has(map, owner),
                    Mode::Exist => has(map, owner),
                };
                ready(map, owner) && fits
            }
            _ => false,
        }
    }

    fn element(
        &mut self,
        map: usize,
        owner: usize,
        operation: impl FnOnce(&mut Map) -> Outcome,
    ) -> Outcome {
        match &mut self.maps[map] {
            None => Outcome::Closed,
            Some(_) if !self.alive[owner] => Outcome::Dead,
            Some(map) => operation(map),
        }
    }

    fn list_owner(&self, owner: usize) -> Outcome {
        if !self.alive[owner] {
            return Outcome::Dead;
        }
        let entry = |(place, map): (usize, &Option<Map>)| {
            let seq = map.as_ref()?.elements.get(&owner)?.seq;
            Some(Entry { place, seq })
        };
        Outcome::Listed(self.maps.iter().enumerate().filter_map(entry).collect())
    }

    fn kill(&mut self, owner: usize, reborn: bool) -> Outcome {
        self.alive[owner] = reborn;
        for map in self.maps.iter_mut().flatten() {
            map.elements.remove(&owner);
        }
        Outcome::Done
    }

    fn replace(&mut self, map: usize, new: Option<Map>) -> Outcome {
        self.maps[map] = new;
        Outcome::Done
    }
}

impl Map {
    fn store(&mut self, owner: usize, value: impl FnOnce(Option<Element>) -> u64) -> Outcome {
        let old = self.elements.get(&owner).copied();
        let created = old.is_none();
        self.created += u64::from(created);
        let seq = old.map_or(self.created, |old| old.seq);
        let value = value(old);
        self.elements.insert(owner, Element { value, seq });
        Outcome::Stored(Stored {
            value,
            seq,
            created,
        })
    }

    fn list(&self) -> Vec<Entry> {
        let entry = |(&place, element): (&usize, &Element)| Entry {
            place,
            seq: element.seq,
        };
        self.elements.iter().map(entry).collect()
    }
}
