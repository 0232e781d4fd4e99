// SPDX-License-Identifier: GPL-2.0
//! A thread that creates and deletes its own value repeatedly. No other thread uses that
//! value, so every failure is spurious.

use std::collections::BTreeMap;
use std::time::Instant;

use nix::errno::Errno;
use ostor::device::{Map, Owner};
use ostor::torture::OpKind;
use serde::Serialize;

/// The result of an operation.
pub(crate) type OpResult = std::result::Result<(), Errno>;

/// The operations of one thread, or of several.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct OpCounts {
    /// Number of creates.
    pub(crate) creates: u64,
    /// Number of deletes, one after each create that succeeded.
    pub(crate) deletes: u64,
    /// Number of creates that failed, by the name of the error.
    pub(crate) create_errors: BTreeMap<String, u64>,
    /// Number of deletes that failed, by the name of the error.
    pub(crate) delete_errors: BTreeMap<String, u64>,
}

impl OpCounts {
    /// Creates and deletes the value once. `run` runs an operation of the thread on its
    /// own value.
    pub(crate) fn step(&mut self, run: &impl Fn(OpKind) -> OpResult) {
        self.creates += 1;
        if let Err(errno) = run(OpKind::Create) {
            return count(&mut self.create_errors, errno);
        }
        self.deletes += 1;
        if let Err(errno) = run(OpKind::Delete) {
            count(&mut self.delete_errors, errno);
        }
    }

    /// Creates and deletes the value until `end`, and calls `pause` after each delete.
    pub(crate) fn steps_until(
        &mut self,
        end: Instant,
        run: impl Fn(OpKind) -> OpResult,
        pause: impl Fn(),
    ) {
        while Instant::now() < end {
            self.step(&run);
            pause();
        }
    }

    /// Adds the operations of another thread.
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

    /// Number of operations.
    pub(crate) fn operations(&self) -> u64 {
        self.creates + self.deletes
    }

    /// Number of operations that failed.
    pub(crate) fn failures(&self) -> u64 {
        let errors = [&self.create_errors, &self.delete_errors];
        errors.into_iter().flat_map(BTreeMap::values).sum()
    }

    /// The names of the errors with which operations failed.
    pub(crate) fn errors(&self) -> Vec<&str> {
        let errors = [&self.create_errors, &self.delete_errors];
        let mut names: Vec<_> = errors.into_iter().flat_map(BTreeMap::keys).collect();
        names.sort();
        names.dedup();
        names.into_iter().map(String::as_str).collect()
    }
}

/// Runs an operation on the calling thread's value, by the commands of a map.
pub(crate) fn run_in(map: &Map, kind: OpKind) -> OpResult {
    let result = match kind {
        OpKind::Delete => map.delete(Owner::Current),
        _ => map.get_or_create(Owner::Current, b"own").map(drop),
    };
    result.map_err(|error| error.errno())
}

fn count(errors: &mut BTreeMap<String, u64>, errno: Errno) {
    *errors.entry(format!("{errno:?}")).or_default() += 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_failures_count_and_each_error_is_named_once() {
        let mut all = OpCounts {
            creates: 5,
            deletes: 4,
            ..OpCounts::default()
        };
        count(&mut all.create_errors, Errno::EBUSY);
        let mut other = OpCounts::default();
        count(&mut other.delete_errors, Errno::EBUSY);
        count(&mut other.delete_errors, Errno::EDEADLK);
        all.merge(other);
        assert_eq!((all.operations(), all.failures()), (9, 3));
        assert_eq!(all.errors(), ["EBUSY", "EDEADLK"]);
    }
}
