// SPDX-License-Identifier: GPL-2.0
//! One thread of a churn: runs operations at random, and checks that no result
//! is an error it should not be or another owner's data.

use std::collections::HashSet;

use anyhow::Result;
use nix::errno::Errno;
use ostor::device::{Elem, Error, Mode, Owner};

use super::findings::Findings;
use super::random::Random;
use super::world::{NumberedMap, NumberedOwner, World};

/// A playing thread.
pub(crate) struct Player<'a> {
    world: &'a World,
    random: Random,
    pub(crate) findings: Findings,
}

impl<'a> Player<'a> {
    pub(crate) fn new(world: &'a World, seed: u64, stream: u64) -> Self {
        Self {
            world,
            random: Random::new(seed, stream),
            findings: Findings::default(),
        }
    }

    /// Runs one operation.
    pub(crate) fn play_one(&mut self) {
        let (what, result) = match self.random.below(100) {
            0..=2 => (
                "maps closed",
                self.world.replace_map(|end| self.random.below(end)),
            ),
            3..=9 => (
                "owners killed",
                self.world.replace_owner(|end| self.random.below(end)),
            ),
            10..=13 => ("lists", self.list()),
            _ => ("operations", self.operate()),
        };
        match result {
            Ok(()) => self.findings.add(what, 1),
            Err(error) => self.findings.problem(format!("{what}: {error:#}")),
        }
    }

    /// An operation on one element.
    fn operate(&mut self) -> Result<()> {
        let map = self.world.map(|end| self.random.below(end));
        let owner = self.world.owner(|end| self.random.below(end));
        let value = value_of(&map, &owner);
        let (map_ref, task) = (&map.map, Owner::task(&owner.process));
        let result = match self.random.below(16) {
            0..=5 => map_ref.get(task).map(Some),
            6..=8 => map_ref.get_or_create(task, &value).map(Some),
            9..=10 => map_ref.update(task, &value, Mode::Any).map(Some),
            11 => map_ref.update(task, &value, Mode::NoExist).map(Some),
            12 => map_ref.update(task, &value, Mode::Exist).map(Some),
            13..=14 => map_ref.delete(task).map(|()| None),
            _ => map_ref.take(task).map(Some),
        };
        match result {
            Ok(elem) => self.check(elem, &value),
            Err(Error::Refused {
                errno: Errno::ENOENT,
                ..
            }) => self.findings.add("none there", 1),
            Err(Error::Refused {
                errno: Errno::EEXIST,
                ..
            }) => self.findings.add("one there", 1),
            Err(Error::Refused {
                errno: Errno::ESRCH,
                ..
            }) if owner.is_doomed() => {
                self.findings.add("owner dead", 1);
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Checks that a value is of the map and owner it was asked of.
    fn check(&mut self, elem: Option<Elem>, value: &[u8]) {
        if let Some(elem) = elem {
            if elem.value != value {
                let text = format!("data of another: {:?}, must be {value:?}", elem.value);
                self.findings.problem(text);
            }
        }
    }

    /// Lists a map; no element comes twice, and all values are of this map.
    fn list(&mut self) -> Result<()> {
        let map = self.world.map(|end| self.random.below(end));
        let mut numbers = HashSet::new();
        for item in map.map.list()? {
            if !numbers.insert(item.entry.seq) {
                self.findings
                    .problem(format!("{:?} listed twice", item.entry));
            }
            if item.value[..8] != map.number.to_ne_bytes() {
                self.findings
                    .problem(format!("a value of another map: {item:?}"));
            }
        }
        Ok(())
    }
}

/// The value that an owner has in a map, whoever stores it.
fn value_of(map: &NumberedMap, owner: &NumberedOwner) -> Vec<u8> {
    [map.number, owner.number].map(u64::to_ne_bytes).concat()
}
