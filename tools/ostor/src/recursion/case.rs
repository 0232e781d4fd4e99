// SPDX-License-Identifier: GPL-2.0
//! The cases of recursion, and the results that each may have.
//!
//! A create or update takes the lock of the owner's storage, so inside that
//! lock another one for the same owner must fail with EDEADLK, in whatever map.
//! Nothing else fails: a lookup takes no lock, and neither does a delete, which
//! leaves what a held lock keeps it from unlinking to be finished later.

use nix::errno::Errno;
use serde::Serialize;

use crate::device::{OpKind, Point};

/// The result of one operation.
pub type OpResult = Result<(), Errno>;

/// One operation inside another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Case {
    /// Where inside.
    pub point: Point,
    /// The outer operation.
    pub outer: OpKind,
    /// Whether the outer one finds an element.
    pub outer_exists: bool,
    /// The inner operation.
    pub inner: OpKind,
    /// Whether the inner one finds an element. With the same owner and the same
    /// map this is `outer_exists`.
    pub inner_exists: bool,
    /// Whether both are on one owner.
    pub same_owner: bool,
    /// Whether both are in one map.
    pub same_map: bool,
}

impl Case {
    /// Whether both operations are on one element.
    pub fn same_key(&self) -> bool {
        self.same_owner && self.same_map
    }

    /// Whether the outer operation comes past the point.
    pub fn fires(&self) -> bool {
        match self.point {
            Point::None => match self.outer {
                OpKind::Create => !self.outer_exists,
                OpKind::Update | OpKind::Delete => true,
                OpKind::Lookup => false,
            },
            Point::Storage | Point::Both => match self.outer {
                OpKind::Create => !self.outer_exists,
                OpKind::Update => true,
                OpKind::Lookup | OpKind::Delete => false,
            },
            Point::Bucket => {
                self.outer_exists && matches!(self.outer, OpKind::Update | OpKind::Delete)
            }
        }
    }

    /// Whether the inner operation wants a lock that the outer one holds.
    pub fn cycles(&self) -> bool {
        let held = self.same_owner && matches!(self.point, Point::Storage | Point::Both);
        let wanted = match self.inner {
            OpKind::Update => true,
            OpKind::Create => !self.inner_exists,
            OpKind::Lookup | OpKind::Delete => false,
        };
        held && wanted
    }

    /// What the inner operation may return.
    pub fn allowed(&self) -> &'static [OpResult] {
        const OK: OpResult = Ok(());
        const NONE: OpResult = Err(Errno::ENOENT);
        const CYCLE: OpResult = Err(Errno::EDEADLK);
        if self.same_key() {
            return self.allowed_on_same_key();
        }
        match self.inner {
            _ if self.cycles() => &[CYCLE],
            OpKind::Lookup | OpKind::Delete if !self.inner_exists => &[NONE],
            _ => &[OK],
        }
    }

    /// As [`Case::allowed`], when the outer operation is changing the very
    /// element. Inside the storage's lock it may or may not have done so yet.
    fn allowed_on_same_key(&self) -> &'static [OpResult] {
        let exists = match (self.point, self.outer) {
            (Point::None, _) => Some(self.outer_exists),
            (Point::Bucket, OpKind::Delete) => Some(false),
            (Point::Bucket, _) => Some(true),
            _ => None,
        };
        let in_storage = matches!(self.point, Point::Storage | Point::Both);
        match (self.inner, exists) {
            (OpKind::Update, _) if in_storage => &[Err(Errno::EDEADLK)],
            (OpKind::Create, _) if in_storage => &[Err(Errno::EDEADLK), Ok(())],
            (OpKind::Create | OpKind::Update, _) | (_, Some(true)) => &[Ok(())],
            (_, Some(false)) => &[Err(Errno::ENOENT)],
            (_, None) => &[Ok(()), Err(Errno::ENOENT)],
        }
    }

    /// What the outer operation must return.
    pub fn outer_result(&self) -> OpResult {
        let gone = self.same_key() && self.point == Point::None && self.inner == OpKind::Delete;
        match self.outer {
            OpKind::Delete if gone || !self.outer_exists => Err(Errno::ENOENT),
            _ => Ok(()),
        }
    }

    /// Every case in which the outer operation comes past the point, and finds
    /// what it deletes.
    pub fn all() -> Vec<Self> {
        const BOOLS: [bool; 2] = [false, true];
        let mut cases = Vec::new();
        for point in Point::ALL {
            for (outer, outer_exists) in OpKind::ALL.into_iter().flat_map(|k| BOOLS.map(|e| (k, e)))
            {
                for inner in OpKind::ALL {
                    for bits in 0..8 {
                        cases.push(Self {
                            point,
                            outer,
                            outer_exists,
                            inner,
                            inner_exists: bits & 1 != 0,
                            same_owner: bits & 2 != 0,
                            same_map: bits & 4 != 0,
                        });
                    }
                }
            }
        }
        cases.retain(|case| {
            case.fires()
                && (!case.same_key() || case.inner_exists == case.outer_exists)
                && (case.outer != OpKind::Delete || case.outer_exists)
        });
        cases
    }

    /// The cases that tell the whole story in a table: at each point, every
    /// operation on the same and on another owner, in another map.
    pub fn story() -> Vec<Self> {
        Self::all()
            .into_iter()
            .filter(|case| !case.same_map)
            .filter(|case| match case.point {
                Point::Bucket => case.outer == OpKind::Delete,
                _ => case.outer == OpKind::Update && !case.outer_exists,
            })
            .filter(|case| match case.inner {
                OpKind::Lookup | OpKind::Delete => case.inner_exists,
                OpKind::Create | OpKind::Update => !case.inner_exists,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(point: Point, inner: OpKind, same_owner: bool) -> Case {
        Case {
            point,
            outer: if point == Point::Bucket {
                OpKind::Delete
            } else {
                OpKind::Update
            },
            outer_exists: point == Point::Bucket,
            inner,
            inner_exists: false,
            same_owner,
            same_map: false,
        }
    }

    #[test]
    fn only_a_create_or_update_inside_its_own_owners_lock_cycles() {
        for point in Point::ALL {
            for inner in OpKind::ALL {
                for same_owner in [false, true] {
                    let expected = same_owner
                        && matches!(point, Point::Storage | Point::Both)
                        && matches!(inner, OpKind::Create | OpKind::Update);
                    let case = case(point, inner, same_owner);
                    assert_eq!(case.cycles(), expected, "{case:?}");
                    assert_eq!(
                        case.allowed() == [Err(Errno::EDEADLK)],
                        expected,
                        "{case:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_story_has_every_point_operation_and_owner() {
        let story = Case::story();
        assert_eq!(story.len(), 4 * 4 * 2);
        assert_eq!(story.iter().filter(|case| case.cycles()).count(), 2 * 2);
        assert!(story.iter().all(Case::fires));
    }

    #[test]
    fn all_cases_fire_and_differ() {
        let all = Case::all();
        assert!(all.iter().all(Case::fires));
        for (i, case) in all.iter().enumerate() {
            assert!(!all[..i].contains(case), "{case:?} twice");
        }
    }
}
