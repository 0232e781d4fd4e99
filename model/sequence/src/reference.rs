// SPDX-License-Identifier: GPL-2.0

//! What must happen, without a lock, a list or a pointer.

use crate::op::{
    Mode,
    Op,
    MAPS,
    OWNERS, //
};
use std::collections::BTreeMap;

/// A value as an operation returns it.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Stored {
    /// The value.
    pub value: u64,
    /// Its element's turn among all that were created in the map, from 1; updates keep it.
    pub seq: u64,
    /// Whether the operation created the element.
    pub created: bool,
}

/// One line of a listing: of a map, where `place` is the owner's; of an owner, where it is the
/// map's.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Entry {
    /// Where what it belongs to is.
    pub place: usize,
    /// The element's number.
    pub seq: u64,
}

/// What an operation ends with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// There is nothing to say.
    Done,
    /// The value, if there is one.
    Value(Option<u64>),
    /// What is stored now.
    Stored(Stored),
    /// There is an element, and there must not be.
    Exists,
    /// There is no element, and there must be.
    Missing,
    /// The owner is dead.
    Dead,
    /// There is no map.
    Closed,
    /// A listing, sorted.
    Listed(Vec<Entry>),
    /// No lock, or no memory.
    Refused,
}

#[derive(Copy, Clone)]
struct Element {
    value: u64,
    seq: u64,
}

/// A map: its elements by their owners' places.
#[derive(Clone, Default)]
struct Map {
    created: u64,
    elements: BTreeMap<usize, Element>,
}

/// All there is.
pub(crate) struct Reference {
    alive: [bool; OWNERS],
    maps: [Option<Map>; MAPS],
}

impl Reference {
    /// All owners live, and all maps are open.
    pub(crate) fn new() -> Self {
        Self {
            alive: [true; OWNERS],
            maps: std::array::from_fn(|_| Some(Map::default())),
        }
    }

    /// How many elements a map has, if it is open.
    pub(crate) fn elements(&self, map: usize) -> Option<u64> {
        Some(self.maps[map].as_ref()?.elements.len() as u64)
    }

    /// Does it.
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

    /// Whether the operation may be refused for a lock or for memory instead: it stores a new
    /// element.
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
