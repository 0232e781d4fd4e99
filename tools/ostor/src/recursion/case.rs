// SPDX-License-Identifier: GPL-2.0
//! The cases of recursion and the results that each may have. The table of
//! `Documentation/matrix.rst` says in which cases a lock is already held.

use nix::errno::Errno;
use serde::Serialize;

use super::matrix::{Cell, Expected, Matrix, Wanted};
use crate::torture::{Context, OpKind, Point};

/// The result of one operation.
pub type OpResult = Result<(), Errno>;

/// One operation inside another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Case {
    /// The point at which the inner operation runs.
    pub point: Point,
    /// The context in which the inner operation runs.
    pub context: Context,
    /// The outer operation.
    pub outer: OpKind,
    /// Whether the outer operation finds an element.
    pub outer_exists: bool,
    /// The inner operation.
    pub inner: OpKind,
    /// Whether the inner operation finds an element. The same as `outer_exists` if owner
    /// and map are the same.
    pub inner_exists: bool,
    /// Whether both operations are on the same owner.
    pub same_owner: bool,
    /// Whether both operations are in the same map.
    pub same_map: bool,
}

impl Case {
    /// Whether both operations are on the same element.
    pub fn same_key(&self) -> bool {
        self.same_owner && self.same_map
    }

    /// Whether the outer operation passes the point.
    pub fn fires(&self) -> bool {
        let links = match self.outer {
            OpKind::Create => !self.outer_exists,
            OpKind::Update => true,
            OpKind::Lookup | OpKind::Delete => false,
        };
        let deletes = self.outer == OpKind::Delete;
        match self.point {
            Point::None => links || deletes,
            Point::Storage | Point::Both => links || (deletes && self.outer_exists),
            Point::Alloc => links,
            Point::Bucket | Point::Drop => {
                self.outer_exists && (deletes || self.outer == OpKind::Update)
            }
        }
    }

    /// Whether the inner operation finds an element, or `None` if it may or may not: an
    /// IPI handler runs on another CPU, concurrently with the outer operation.
    fn finds(&self) -> Option<bool> {
        if !self.same_key() {
            return Some(self.inner_exists);
        }
        if self.context == Context::Ipi {
            return None;
        }
        Some(match self.point {
            Point::None | Point::Alloc => self.outer_exists,
            // A delete claims the element before it takes a lock.
            _ if self.outer == OpKind::Delete => false,
            Point::Storage | Point::Both => self.outer_exists,
            Point::Bucket | Point::Drop => true,
        })
    }

    /// The cell of the table that the case belongs to.
    pub fn cell(&self) -> Cell {
        Cell {
            point: self.point,
            context: self.context,
            inner: match self.inner {
                OpKind::Lookup => Wanted::Lookup,
                OpKind::Create if self.finds() == Some(true) => Wanted::CreateThere,
                OpKind::Create => Wanted::Create,
                OpKind::Update => Wanted::Update,
                OpKind::Delete => Wanted::Delete,
            },
            same_owner: self.same_owner,
            same_map: self.same_map,
        }
    }

    /// The results that the inner operation may have. `None` means that it must not run.
    pub fn allowed(&self, matrix: &Matrix) -> &'static [Option<OpResult>] {
        const OK: Option<OpResult> = Some(Ok(()));
        const NONE: Option<OpResult> = Some(Err(Errno::ENOENT));
        const CYCLE: Option<OpResult> = Some(Err(Errno::EDEADLK));
        const NO_MEMORY: Option<OpResult> = Some(Err(Errno::ENOMEM));
        match matrix.expected(self.cell()) {
            // An idle CPU may handle an IPI in its idle loop.
            Expected::NoMemory if self.context == Context::Ipi => &[NO_MEMORY, OK],
            Expected::NoMemory => &[NO_MEMORY],
            Expected::Impossible => &[None],
            Expected::NoCase => &[],
            Expected::Deadlock => &[CYCLE],
            Expected::Works => match (self.inner, self.finds()) {
                (OpKind::Create | OpKind::Update, _) | (_, Some(true)) => &[OK],
                (_, Some(false)) => &[NONE],
                (_, None) => &[OK, NONE],
            },
        }
    }

    /// The results that the outer operation may have.
    pub fn outer_allowed(&self) -> &'static [OpResult] {
        const NONE: OpResult = Err(Errno::ENOENT);
        let may_be_gone =
            self.same_key() && self.point == Point::None && self.inner == OpKind::Delete;
        match self.outer {
            OpKind::Delete if may_be_gone && self.context == Context::Ipi => &[Ok(()), NONE],
            OpKind::Delete if may_be_gone => &[NONE],
            _ => &[Ok(())],
        }
    }

    /// All cases of a context in which the outer operation passes the point, and finds
    /// the element that it deletes.
    pub fn all(context: Context) -> Vec<Self> {
        const BOOLS: [bool; 2] = [false, true];
        let mut cases = Vec::new();
        for point in Point::ALL {
            for (outer, outer_exists) in OpKind::ALL.into_iter().flat_map(|k| BOOLS.map(|e| (k, e)))
            {
                for inner in OpKind::ALL {
                    for bits in 0..8 {
                        cases.push(Self {
                            point,
                            context,
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
                && case.can_be_prepared()
        });
        cases
    }

    /// Whether [`super::Fixture`] can prepare the case: the map in which values are dropped
    /// has only the outer operation's element.
    fn can_be_prepared(&self) -> bool {
        self.point != Point::Drop || self.same_owner || !self.same_map || !self.inner_exists
    }

    /// The cases that show what the locks do in one small table: at each point every
    /// operation, on the same and on another owner, in another map.
    pub fn overview() -> Vec<Self> {
        Self::all(Context::Task)
            .into_iter()
            .filter(|case| !case.same_map && !matches!(case.point, Point::Alloc | Point::Drop))
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
    use crate::kernel::Kernel;

    #[test]
    fn the_overview_has_every_lock_operation_and_owner() {
        let (overview, matrix) = (Case::overview(), Matrix::read(Kernel::USUAL).unwrap());
        assert_eq!(overview.len(), 4 * 4 * 2);
        let cycles = overview
            .iter()
            .filter(|case| matrix.expected(case.cell()) == Expected::Deadlock);
        assert_eq!(cycles.count(), 2 * 2);
        assert!(overview.iter().all(Case::fires));
    }

    #[test]
    fn all_cases_fire_and_differ() {
        for context in Context::RAISED {
            let all = Case::all(context);
            assert!(all.iter().all(Case::fires));
            for (i, case) in all.iter().enumerate() {
                assert!(!all[..i].contains(case), "{case:?} twice");
            }
        }
    }

    #[test]
    fn every_cell_has_its_cases() {
        let matrix = Matrix::read(Kernel::USUAL).unwrap();
        let cases = Context::RAISED.into_iter().flat_map(Case::all);
        let tried: Vec<_> = cases.map(|case| case.cell()).collect();
        for cell in matrix.cells() {
            assert!(tried.contains(&cell), "{cell:?} has no case");
        }
        for cell in tried {
            assert_ne!(matrix.expected(cell), Expected::NoCase, "{cell:?}");
        }
    }

    #[test]
    fn a_delete_claims_its_element_before_it_takes_a_lock() {
        for case in Case::all(Context::Nmi) {
            let locked = matches!(case.point, Point::Storage | Point::Bucket | Point::Both);
            if case.same_key() && case.outer == OpKind::Delete && locked {
                assert_eq!(case.finds(), Some(false), "{case:?}");
            }
        }
    }
}
