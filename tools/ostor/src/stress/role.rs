// SPDX-License-Identifier: GPL-2.0
//! What a player does most.

use ostor::device::{Elem, Map, Mode, Owner, Result};

use super::random::Random;

/// What a player does in one turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Puts a new map in the place of another, and closes that one.
    CloseMap,
    /// Puts a new owner in the place of another, and ends that one.
    KillOwner,
    /// Lists a map.
    List,
    /// Lists an owner's elements.
    ListOwner,
    /// Runs an operation on one element.
    Operate(Op),
}

/// An operation on one element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Get,
    GetOrCreate,
    Update(Mode),
    Delete,
    Take,
}

impl Op {
    /// Those that create, in the parts in which they are chosen.
    const CREATES: [Self; 7] = [
        Self::GetOrCreate,
        Self::GetOrCreate,
        Self::GetOrCreate,
        Self::Update(Mode::Any),
        Self::Update(Mode::Any),
        Self::Update(Mode::NoExist),
        Self::Update(Mode::Exist),
    ];

    /// Those that delete, likewise.
    const DELETES: [Self; 3] = [Self::Delete, Self::Delete, Self::Take];

    /// What it is called in a report.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::GetOrCreate => "get or create",
            Self::Update(Mode::Any) => "update",
            Self::Update(Mode::NoExist) => "update, if there is none",
            Self::Update(Mode::Exist) => "update, if there is one",
            Self::Delete => "delete",
            Self::Take => "take",
        }
    }

    /// Whether it may find that there is no element.
    pub(crate) fn may_find_none(self) -> bool {
        matches!(
            self,
            Self::Get | Self::Update(Mode::Exist) | Self::Delete | Self::Take
        )
    }

    /// Runs it. Returns the element, if it returns one.
    pub(crate) fn run(self, map: &Map, owner: Owner<'_>, value: &[u8]) -> Result<Option<Elem>> {
        match self {
            Self::Get => map.get(owner).map(Some),
            Self::GetOrCreate => map.get_or_create(owner, value).map(Some),
            Self::Update(mode) => map.update(owner, value, mode).map(Some),
            Self::Delete => map.delete(owner).map(|()| None),
            Self::Take => map.take(owner).map(Some),
        }
    }
}

/// What a player does most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// A bit of everything.
    All,
    Reader,
    Creator,
    Deleter,
    MapCycler,
    OwnerKiller,
}

impl Role {
    /// How many of a hundred turns close a map, kill an owner, list a map, list
    /// an owner's elements, get, create and delete.
    fn parts(self) -> [usize; 7] {
        match self {
            Self::All => [3, 7, 4, 2, 31, 37, 16],
            Self::Reader => [0, 0, 10, 10, 70, 10, 0],
            Self::Creator => [0, 0, 2, 2, 6, 85, 5],
            Self::Deleter => [0, 0, 2, 2, 6, 20, 70],
            Self::MapCycler => [30, 0, 0, 0, 10, 50, 10],
            Self::OwnerKiller => [0, 30, 0, 0, 10, 50, 10],
        }
    }

    /// What to do next.
    pub(crate) fn choose(self, random: &mut Random) -> Turn {
        let mut left = random.below(100);
        let part = self.parts().iter().position(|part| {
            let is_it = left < *part;
            left = left.saturating_sub(*part);
            is_it
        });
        match part {
            Some(0) => Turn::CloseMap,
            Some(1) => Turn::KillOwner,
            Some(2) => Turn::List,
            Some(3) => Turn::ListOwner,
            Some(4) => Turn::Operate(Op::Get),
            Some(5) => Turn::Operate(Op::CREATES[random.below(Op::CREATES.len())]),
            _ => Turn::Operate(Op::DELETES[random.below(Op::DELETES.len())]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLES: [Role; 6] = [
        Role::All,
        Role::Reader,
        Role::Creator,
        Role::Deleter,
        Role::MapCycler,
        Role::OwnerKiller,
    ];

    #[test]
    fn the_parts_make_a_hundred() {
        for role in ROLES {
            assert_eq!(role.parts().iter().sum::<usize>(), 100, "{role:?}");
        }
    }

    #[test]
    fn turns_come_in_their_parts() {
        for role in ROLES {
            let mut random = Random::new(3, 4);
            let turns: Vec<_> = (0..10_000).map(|_| role.choose(&mut random)).collect();
            let closes = turns.iter().filter(|turn| **turn == Turn::CloseMap);
            let gets = turns.iter().filter(|turn| **turn == Turn::Operate(Op::Get));
            for (count, part) in [(closes.count(), 0), (gets.count(), 4)] {
                let expected = role.parts()[part] * 100;
                assert!(count.abs_diff(expected) <= 300, "{role:?}: {count}");
            }
        }
    }
}
