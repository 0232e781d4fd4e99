// SPDX-License-Identifier: GPL-2.0
//! One thread that runs operations at random, and checks that no result is an
//! error it should not be or another owner's data.

use std::collections::HashSet;
use std::fs::File;

use anyhow::Result;
use nix::errno::Errno;
use ostor::device::{self, Elem, list_owner};

use super::findings::Findings;
use super::random::Random;
use super::role::{Op, Role, Turn};
use super::world::{World, value_of};

/// What is made to fail, so that an error is no wonder.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Injected {
    pub(crate) locks: bool,
    pub(crate) allocs: bool,
}

impl Injected {
    /// Whether an error is one that is made on purpose.
    pub(crate) fn explains(self, errno: Errno) -> bool {
        match errno {
            Errno::EDEADLK => self.locks,
            Errno::ENOMEM => self.allocs,
            _ => false,
        }
    }
}

/// A playing thread.
pub(crate) struct Player<'a> {
    world: &'a World,
    device: &'a File,
    role: Role,
    injected: Injected,
    random: Random,
    pub(crate) findings: Findings,
}

impl<'a> Player<'a> {
    /// A player of a role, whose choices come from `random`.
    pub(crate) fn new(
        world: &'a World,
        device: &'a File,
        role: Role,
        injected: Injected,
        random: Random,
    ) -> Self {
        Self {
            world,
            device,
            role,
            injected,
            random,
            findings: Findings::default(),
        }
    }

    /// Takes one turn.
    pub(crate) fn play_one(&mut self) {
        match self.role.choose(&mut self.random) {
            Turn::CloseMap => {
                let result = self.world.replace_map(|end| self.random.below(end));
                self.note("map closed", result, |_| false);
            }
            Turn::KillOwner => {
                let result = self.world.replace_owner(|end| self.random.below(end));
                let what = match &result {
                    Ok(kind) => format!("{kind} killed"),
                    Err(_) => "owner killed".to_owned(),
                };
                self.note(&what, result.map(drop), |_| false);
            }
            Turn::List => {
                let result = self.list();
                self.note("list", result, |_| false);
            }
            Turn::ListOwner => self.list_owner(),
            Turn::Operate(op) => self.operate(op),
        }
    }

    /// Counts an outcome, or notes that it is none that `is_expected` or that
    /// what is made to fail explains.
    fn note(&mut self, what: &str, result: Result<()>, is_expected: impl Fn(Errno) -> bool) {
        let Err(error) = result else {
            return self.findings.add(&format!("{what}: ok"), 1);
        };
        let errno = error.downcast_ref().map(device::Error::errno);
        match errno.filter(|errno| is_expected(*errno) || self.injected.explains(*errno)) {
            Some(errno) => self.findings.add(&format!("{what}: {errno:?}"), 1),
            None => self.findings.problem(format!("{what}: {error:#}")),
        }
    }

    /// An operation on one element.
    fn operate(&mut self, op: Op) {
        let map = self.world.map(|end| self.random.below(end));
        let owner = self.world.owner(|end| self.random.below(end));
        let value = value_of(map.number, owner.number);
        let result = op.run(&map.map, owner.object.owner(), &value);
        if let Ok(elem) = &result {
            self.check(elem.as_ref(), &value);
        }
        let result = result.map(drop).map_err(Into::into);
        self.note(op.name(), result, |errno| match errno {
            Errno::ENOENT => op.may_find_none(),
            Errno::EEXIST => op == Op::Update(device::Mode::NoExist),
            Errno::ESRCH => owner.is_doomed(),
            _ => false,
        });
    }

    /// Checks that a value is of the map and owner it was asked of.
    fn check(&mut self, elem: Option<&Elem>, value: &[u8]) {
        if let Some(elem) = elem.filter(|elem| elem.value != value) {
            let text = format!("data of another: {:?}, must be {value:?}", elem.value);
            self.findings.problem(text);
        }
    }

    /// Lists a map in parts: no element comes twice, all values are of this map,
    /// and the elements that nobody touches are all there.
    fn list(&mut self) -> Result<()> {
        let map = self.world.map(|end| self.random.below(end));
        let mut listing = map.map.listing(1 + self.random.below(64) as u32);
        let mut numbers = HashSet::new();
        while let Some(part) = listing.next_part()? {
            for item in part {
                if !numbers.insert(item.entry.seq) {
                    self.findings
                        .problem(format!("{:?} listed twice", item.entry));
                }
                if item.value[..8] != map.number.to_ne_bytes() {
                    self.findings
                        .problem(format!("a value of another map: {item:?}"));
                }
            }
        }
        for steady in &map.steady {
            if !numbers.contains(&steady.seq) {
                self.findings
                    .problem(format!("element {} was not listed", steady.seq));
            }
        }
        Ok(())
    }

    /// Lists an owner's elements: no map comes twice.
    fn list_owner(&mut self) {
        let owner = self.world.owner(|end| self.random.below(end));
        let result = list_owner(self.device, owner.object.owner());
        if let Ok(elements) = &result {
            if !elements.is_sorted_by(|one, next| one.map_id < next.map_id) {
                let text = format!("an owner's elements out of order: {elements:?}");
                self.findings.problem(text);
            }
        }
        let result = result.map(drop).map_err(Into::into);
        self.note("list an owner", result, |errno| {
            errno == Errno::ESRCH && owner.is_doomed()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_injected_is_no_wonder() {
        let none = Injected::default();
        let locks = Injected {
            locks: true,
            ..none
        };
        assert!(locks.explains(Errno::EDEADLK) && !none.explains(Errno::EDEADLK));
        assert!(!locks.explains(Errno::ENOMEM));
        assert!(!locks.explains(Errno::ETIMEDOUT));
    }
}
