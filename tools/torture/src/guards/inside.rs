// SPDX-License-Identifier: GPL-2.0
//! A create inside the create of another owner, which needs none of the same locks.

use anyhow::{Context, Result};
use nix::errno::Errno;
use ostor::device::{Map, Mode, Owner};
use ostor::process::Child;
use ostor::torture::{self, Op, OpKind, Point, Recursion, TortureDevice};

/// The result of a create that runs inside the create of another owner, on the same CPU.
pub(super) fn result(
    device: &TortureDevice,
    map: &Map,
    is_counted: bool,
) -> Result<std::result::Result<(), Errno>> {
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
        context: torture::Context::Task,
    }
    .run_behind_counter(device, is_counted)?;
    map.delete(Owner::Current)?;
    outcome.inner.context("the inner operation did not run")
}
