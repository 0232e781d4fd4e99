// SPDX-License-Identifier: GPL-2.0
//! Trying the cases of recursion on real tasks.

use nix::errno::Errno;

use super::case::OpResult;
use super::{Case, Matrix};
use crate::device::{Error, Map, Mode, Op, OpKind, Outcome, Owner, Point, Recursion, Result};
use crate::kernel::Kernel;
use crate::process::Child;

/// Two maps and two processes, on which any case can be tried.
#[derive(Debug)]
pub struct Stage {
    matrix: Matrix,
    maps: [Map; 2],
    owners: [Child; 2],
}

/// What came out of a case.
#[derive(Clone, Copy, Debug)]
pub struct Verdict {
    /// What both operations returned.
    pub outcome: Outcome,
    /// What the inner operation returned when it was run again right after, if
    /// it had met a lock cycle.
    pub again: Option<OpResult>,
    /// Whether all of this is as it must be.
    pub ok: bool,
}

impl Stage {
    /// Starts the processes and creates the maps.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self {
            matrix: Matrix::read(Kernel::running()?)?,
            maps: [Map::create(16)?, Map::create(16)?],
            owners: [Child::idle()?, Child::idle()?],
        })
    }

    /// Tries one case.
    pub fn run(&self, case: &Case) -> Result<Verdict> {
        let outer = self.op(case.outer, true, true, 1);
        let inner = self.op(case.inner, case.same_map, case.same_owner, 2);
        self.prepare(case, &outer, &inner)?;

        let outcome = Recursion {
            outer,
            inner,
            point: case.point,
            context: case.context,
        }
        .run()?;
        let seen_elsewhere = case.same_key() || case.point == Point::Drop;
        let left_ok = seen_elsewhere || self.holds(&outer)? == (case.outer != OpKind::Delete);
        let again = match outcome.inner {
            Some(Err(Errno::EDEADLK)) => Some(inner.run().map_err(|error| error.errno())),
            _ => None,
        };
        let ok = case.allowed(&self.matrix).contains(&outcome.inner)
            && case.outer_allowed().contains(&outcome.outer)
            && again.is_none_or(|result| result.is_ok())
            && left_ok;
        Ok(Verdict { outcome, again, ok })
    }

    /// What must come out.
    pub fn matrix(&self) -> &Matrix {
        &self.matrix
    }

    /// The first map, in which the outer operation runs.
    pub fn outer_map(&self) -> &Map {
        &self.maps[0]
    }

    /// The second map, in which the inner one runs unless in the same.
    pub fn other_map(&self) -> &Map {
        &self.maps[1]
    }

    fn op(&self, kind: OpKind, same_map: bool, same_owner: bool, seed: u64) -> Op<'_> {
        Op {
            kind,
            mode: Mode::Any,
            map: &self.maps[usize::from(!same_map)],
            owner: Owner::task(&self.owners[usize::from(!same_owner)]),
            seed,
        }
    }

    /// Leaves exactly those elements that the case starts from.
    fn prepare(&self, case: &Case, outer: &Op<'_>, inner: &Op<'_>) -> Result<()> {
        for map in &self.maps {
            for owner in &self.owners {
                match map.delete(Owner::task(owner)) {
                    Err(Error::Refused {
                        errno: Errno::ENOENT,
                        ..
                    })
                    | Ok(()) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        for (op, exists) in [(outer, case.outer_exists), (inner, case.inner_exists)] {
            if exists {
                op.map.update(op.owner, &[], Mode::Any)?;
            }
        }
        Ok(())
    }

    fn holds(&self, op: &Op<'_>) -> Result<bool> {
        match op.map.get(op.owner) {
            Ok(_) => Ok(true),
            Err(Error::Refused {
                errno: Errno::ENOENT,
                ..
            }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
