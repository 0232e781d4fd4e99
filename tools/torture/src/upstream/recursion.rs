// SPDX-License-Identifier: GPL-2.0
//! `task_ls_recursion`: values of a task are created and deleted inside a create for the
//! same task.
//!
//! In upstream's test a program gets or creates the task's value in map a. At the start of
//! that, before a lock is taken, another program gets or creates the value in map a, sets
//! it to 1, deletes it, and gets or creates the value in map b, also 1. Then the first
//! program continues: it finds no value in map a, creates it, and sets it to 200.

use anyhow::{Context, Result};
use nix::errno::Errno;
use ostor::device::{Map, Owner};
use ostor::torture::{self, Op, OpKind, Point, Recursion, TortureDevice};

use super::row::{Row, Wanted};

const DIFFERS: &str = "the driver runs one operation inside another, so the three operations of the \
                       inner program are inside three updates of map a to 200; any error of a \
                       delete counts, not only EBUSY; a program that is not run because of \
                       recursion has no counterpart";

pub(super) fn run() -> Result<Row> {
    let device = TortureDevice::open()?;
    let (a, b) = (Map::create(8)?, Map::create(8)?);
    let (mut delete_errors, mut other_errors) = (0, 0);
    for inner in [
        Op::own(OpKind::Create, &a, 1),
        Op::own(OpKind::Delete, &a, 0),
        Op::own(OpKind::Create, &b, 1),
    ] {
        let outcome = Recursion {
            outer: Op::own(OpKind::Update, &a, 200),
            inner,
            point: Point::None,
            context: torture::Context::Task,
        }
        .run(&device)?;
        let result = outcome.inner.context("an inner operation did not run")?;
        match inner.kind {
            OpKind::Delete => delete_errors += u64::from(result.is_err()),
            _ => other_errors += u64::from(result.is_err()),
        }
        other_errors += u64::from(outcome.outer.is_err());
    }
    Ok(Row::new(DIFFERS)
        .upstream("map a", Wanted::Exactly(200), number(&a)?)
        .upstream("map b", Wanted::Exactly(1), number(&b)?)
        .upstream("delete errors", Wanted::Exactly(0), delete_errors)
        .and("other errors", Wanted::Exactly(0), other_errors))
}

/// The value of the calling thread, or 0 if it has none.
fn number(map: &Map) -> Result<u64> {
    let elem = match map.get(Owner::Current) {
        Err(error) if error.errno() == Errno::ENOENT => return Ok(0),
        elem => elem?,
    };
    let bytes = elem
        .value
        .try_into()
        .ok()
        .context("a value is not 8 bytes")?;
    Ok(u64::from_ne_bytes(bytes))
}
