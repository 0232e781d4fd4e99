// SPDX-License-Identifier: GPL-2.0
//! An operation inside one of another owner: recursion that is no trouble.

use anyhow::{Context, Result};
use nix::errno::Errno;
use ostor::device::{self, Map, Mode, Op, OpKind, Owner, Point, Recursion};
use ostor::process::Child;

/// What comes out of a create that runs inside the create of another owner, on
/// the same CPU.
pub(crate) fn result(map: &Map) -> Result<std::result::Result<(), Errno>> {
    let process = Child::idle()?;
    let create = |owner| Op {
        kind: OpKind::Create,
        mode: Mode::Any,
        map,
        owner,
        seed: 1,
    };
    let outcome = Recursion {
        outer: create(Owner::Current),
        inner: create(Owner::task(&process)),
        point: Point::None,
        context: device::Context::Task,
    }
    .run()?;
    map.delete(Owner::Current)?;
    outcome.inner.context("the inner operation did not run")
}
