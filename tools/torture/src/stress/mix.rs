// SPDX-License-Identifier: GPL-2.0
//! Mixes of steps, from which the steps of a worker are drawn.

use ostor::device::{Elem, Map, Mode, Owner, Result};
use ostor::random::Random;

/// One step of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Replaces a map by a new one and closes it.
    CloseMap,
    /// Replaces an owner by a new one and ends it.
    EndOwner,
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
    /// The operations that create, as often as each is chosen.
    const CREATES: [Self; 7] = [
        Self::GetOrCreate,
        Self::GetOrCreate,
        Self::GetOrCreate,
        Self::Update(Mode::Any),
        Self::Update(Mode::Any),
        Self::Update(Mode::NoExist),
        Self::Update(Mode::Exist),
    ];

    /// The operations that delete, as often as each is chosen.
    const DELETES: [Self; 3] = [Self::Delete, Self::Delete, Self::Take];

    /// The name in a report.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::GetOrCreate => "get or create",
            Self::Update(Mode::Any) => "update",
            Self::Update(Mode::NoExist) => "update (noexist)",
            Self::Update(Mode::Exist) => "update (exist)",
            Self::Delete => "delete",
            Self::Take => "take",
        }
    }

    /// Whether the operation fails with ENOENT if there is no element.
    pub(crate) fn may_find_none(self) -> bool {
        matches!(
            self,
            Self::Get | Self::Update(Mode::Exist) | Self::Delete | Self::Take
        )
    }

    /// Runs the operation. Returns the element, except after a delete.
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

/// A mix, named after the steps that are most frequent in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mix {
    All,
    Reads,
    Creates,
    Deletes,
    MapCloses,
    OwnerEnds,
}

impl Mix {
    /// Percentages of the steps: close a map, end an owner, list a map, list an owner's
    /// elements, get, create, delete.
    fn percentages(self) -> [usize; 7] {
        match self {
            Self::All => [3, 7, 4, 2, 31, 37, 16],
            Self::Reads => [0, 0, 10, 10, 70, 10, 0],
            Self::Creates => [0, 0, 2, 2, 6, 85, 5],
            Self::Deletes => [0, 0, 2, 2, 6, 20, 70],
            Self::MapCloses => [30, 0, 0, 0, 10, 50, 10],
            Self::OwnerEnds => [0, 30, 0, 0, 10, 50, 10],
        }
    }

    /// Draws a step.
    pub(crate) fn choose(self, random: &mut Random) -> Step {
        let mut left = random.below(100);
        let chosen = self.percentages().iter().position(|part| {
            let is_it = left < *part;
            left = left.saturating_sub(*part);
            is_it
        });
        match chosen {
            Some(0) => Step::CloseMap,
            Some(1) => Step::EndOwner,
            Some(2) => Step::List,
            Some(3) => Step::ListOwner,
            Some(4) => Step::Operate(Op::Get),
            Some(5) => Step::Operate(Op::CREATES[random.below(Op::CREATES.len())]),
            _ => Step::Operate(Op::DELETES[random.below(Op::DELETES.len())]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIXES: [Mix; 6] = [
        Mix::All,
        Mix::Reads,
        Mix::Creates,
        Mix::Deletes,
        Mix::MapCloses,
        Mix::OwnerEnds,
    ];

    #[test]
    fn the_percentages_add_up() {
        for mix in MIXES {
            assert_eq!(mix.percentages().iter().sum::<usize>(), 100, "{mix:?}");
        }
    }

    #[test]
    fn steps_are_as_frequent_as_the_mix_says() {
        for mix in MIXES {
            let mut random = Random::new(3, 4);
            let steps: Vec<_> = (0..10_000).map(|_| mix.choose(&mut random)).collect();
            let closes = steps.iter().filter(|step| **step == Step::CloseMap);
            let gets = steps.iter().filter(|step| **step == Step::Operate(Op::Get));
            for (count, part) in [(closes.count(), 0), (gets.count(), 4)] {
                let expected = mix.percentages()[part] * 100;
                assert!(count.abs_diff(expected) <= 300, "{mix:?}: {count}");
            }
        }
    }
}
