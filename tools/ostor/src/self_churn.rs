// SPDX-License-Identifier: GPL-2.0
//! A thread that creates and deletes its own value, again and again. Nobody else
//! touches that, so there is no reason to fail.

use std::collections::BTreeMap;
use std::time::Instant;

use nix::errno::Errno;
use ostor::device::{Map, Owner};
use serde::Serialize;

/// What a thread did, or several.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Tally {
    /// Creates that were tried.
    pub(crate) creates: u64,
    /// Deletes that were tried, one for each create that did not fail.
    pub(crate) deletes: u64,
    /// How many creates failed, by the error's name.
    pub(crate) create_errors: BTreeMap<String, u64>,
    /// How many deletes failed.
    pub(crate) delete_errors: BTreeMap<String, u64>,
}

impl Tally {
    /// Creates and deletes once.
    pub(crate) fn turn(&mut self, map: &Map) {
        self.creates += 1;
        if let Err(error) = map.get_or_create(Owner::Current, b"own") {
            return count(&mut self.create_errors, error.errno());
        }
        self.deletes += 1;
        if let Err(error) = map.delete(Owner::Current) {
            count(&mut self.delete_errors, error.errno());
        }
    }

    /// Creates and deletes until then, and calls `pause` after each turn.
    pub(crate) fn turns_until(&mut self, end: Instant, map: &Map, pause: impl Fn()) {
        while Instant::now() < end {
            self.turn(map);
            pause();
        }
    }

    /// Adds what another thread did.
    pub(crate) fn merge(&mut self, other: Self) {
        self.creates += other.creates;
        self.deletes += other.deletes;
        for (all, part) in [
            (&mut self.create_errors, other.create_errors),
            (&mut self.delete_errors, other.delete_errors),
        ] {
            for (errno, number) in part {
                *all.entry(errno).or_default() += number;
            }
        }
    }

    /// How many operations there were.
    pub(crate) fn operations(&self) -> u64 {
        self.creates + self.deletes
    }

    /// How many of them failed.
    pub(crate) fn failures(&self) -> u64 {
        let errors = [&self.create_errors, &self.delete_errors];
        errors.into_iter().flat_map(BTreeMap::values).sum()
    }

    /// The errors they failed with.
    pub(crate) fn errors(&self) -> Vec<&str> {
        let errors = [&self.create_errors, &self.delete_errors];
        let mut names: Vec<_> = errors.into_iter().flat_map(BTreeMap::keys).collect();
        names.sort();
        names.dedup();
        names.into_iter().map(String::as_str).collect()
    }
}

fn count(errors: &mut BTreeMap<String, u64>, errno: Errno) {
    *errors.entry(format!("{errno:?}")).or_default() += 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_failures_count_and_each_error_is_named_once() {
        let mut all = Tally {
            creates: 5,
            deletes: 4,
            ..Tally::default()
        };
        count(&mut all.create_errors, Errno::EBUSY);
        let mut other = Tally::default();
        count(&mut other.delete_errors, Errno::EBUSY);
        count(&mut other.delete_errors, Errno::EDEADLK);
        all.merge(other);
        assert_eq!((all.operations(), all.failures()), (9, 3));
        assert_eq!(all.errors(), ["EBUSY", "EDEADLK"]);
    }
}
