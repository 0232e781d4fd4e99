// SPDX-License-Identifier: GPL-2.0
//! Trying the cases of recursion on two tasks and two maps.

use nix::errno::Errno;

use super::{Case, Matrix, OpResult};
use crate::device::{Error, Map, Mode, Owner, Result};
use crate::kernel::Kernel;
use crate::process::Child;
use crate::torture::{Op, OpKind, Outcome, Point, Recursion, TortureDevice};

/// Two maps and two processes, which serve for every case.
#[derive(Debug)]
pub struct Fixture {
    device: TortureDevice,
    matrix: Matrix,
    maps: [Map; 2],
    owners: [Child; 2],
}

/// The outcome of a case, and whether it is the promised one.
#[derive(Clone, Copy, Debug)]
pub struct Verdict {
    /// What both operations returned.
    pub outcome: Outcome,
    /// If the inner operation failed with EDEADLK: what it returned when it was run
    /// again after the outer one.
    pub again: Option<OpResult>,
    /// Whether all of this is as promised.
    pub ok: bool,
}

impl Fixture {
    /// Starts the processes and creates the maps.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self {
            device: TortureDevice::open()?,
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

        let recursion = Recursion {
            outer,
            inner,
            point: case.point,
            context: case.context,
        };
        let outcome = recursion.run(&self.device)?;
        // The inner operation may have changed the same element, and dropped values are
        // in a map of the driver's own.
        let is_known = !case.same_key() && case.point != Point::Drop;
        let left_ok = !is_known || self.holds(&outer)? == (case.outer != OpKind::Delete);
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

    /// The promised outcomes.
    pub fn matrix(&self) -> &Matrix {
        &self.matrix
    }

    /// The first map, in which the outer operation runs.
    pub fn outer_map(&self) -> &Map {
        &self.maps[0]
    }

    /// The second map, in which the inner operation runs unless both use the same.
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

    /// Creates the elements with which the case starts, and deletes all others.
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

    /// Whether the element of an operation exists.
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
