// SPDX-License-Identifier: GPL-2.0
//! `ostor recurse`: one operation inside another.

use anyhow::Result;
use nix::errno::Errno;
use ostor::device::{OpKind, Point};
use ostor::recursion::{Case, OpResult, Stage, Verdict};
use serde::Serialize;

use crate::cli::RecurseArgs;
use crate::exit::{Exit, UsageError};
use crate::matrix;
use crate::output::{Output, table};

/// What one case came to.
#[derive(Debug, Serialize)]
pub(crate) struct Tried {
    #[serde(flatten)]
    case: Case,
    outer_result: String,
    inner_result: String,
    again: Option<String>,
    pub(crate) ok: bool,
}

/// `ostor recurse`
pub(crate) fn run(args: &RecurseArgs, output: &Output) -> Result<Exit> {
    if args.matrix {
        return matrix::run(output);
    }
    let cases = match (args.point, args.outer, args.inner) {
        (Some(point), Some(outer), Some(inner)) => vec![chosen(args, point, outer, inner)?],
        _ => Case::story(),
    };
    let tried = try_all(&cases)?;
    output.result(&tried, as_table(&tried))?;
    Ok(Exit::check(tried.iter().all(|tried| tried.ok)))
}

/// Tries cases on fresh processes and maps.
pub(crate) fn try_all(cases: &[Case]) -> Result<Vec<Tried>> {
    let stage = Stage::new()?;
    let mut tried = Vec::new();
    for case in cases {
        tried.push(Tried::new(*case, stage.run(case)?));
    }
    Ok(tried)
}

/// The cases as a table for a person.
pub(crate) fn as_table(tried: &[Tried]) -> String {
    let head = [
        "lock held",
        "outer",
        "inner",
        "of",
        "inner result",
        "again",
        "as it must be",
    ];
    let rows = tried.iter().map(|tried| {
        let case = &tried.case;
        let held = match case.point {
            Point::None => "none",
            Point::Storage => "storage's",
            Point::Bucket => "bucket's",
            Point::Both => "both",
            Point::Alloc => "none (allocating)",
            Point::Drop => "none (in a drop)",
        };
        [
            held.to_owned(),
            format!("{}: {}", op_name(case.outer), tried.outer_result),
            op_name(case.inner).to_owned(),
            inner_target(case).to_owned(),
            tried.inner_result.clone(),
            tried.again.clone().unwrap_or_default(),
            if tried.ok { "yes" } else { "NO" }.to_owned(),
        ]
    });
    table(head, rows).to_string()
}

impl Tried {
    fn new(case: Case, verdict: Verdict) -> Self {
        Self {
            case,
            outer_result: result_name(verdict.outcome.outer),
            inner_result: verdict
                .outcome
                .inner
                .map_or_else(|| "did not run".into(), result_name),
            again: verdict.again.map(result_name),
            ok: verdict.ok,
        }
    }

    /// Whether the inner operation met a lock cycle.
    pub(crate) fn cycled(&self) -> bool {
        self.inner_result == result_name(Err(Errno::EDEADLK))
    }
}

fn chosen(args: &RecurseArgs, point: Point, outer: OpKind, inner: OpKind) -> Result<Case> {
    let same_key = !args.other_owner && !args.other_map;
    let case = Case {
        point,
        context: args.context,
        outer,
        outer_exists: args.outer_exists,
        inner,
        inner_exists: if same_key {
            args.outer_exists
        } else {
            args.inner_exists
        },
        same_owner: !args.other_owner,
        same_map: !args.other_map,
    };
    if !case.fires() {
        let who = match point {
            Point::Bucket => "a delete or update of an element that exists (--outer-exists)",
            Point::Drop => "a delete or update of an element that exists (--outer-exists)",
            Point::Alloc => "an update, or a create of an element that does not exist",
            _ => "an update, a delete, or a create of an element that does not exist",
        };
        return Err(UsageError(format!("only {who} comes past that point")).into());
    }
    Ok(case)
}

fn op_name(kind: OpKind) -> &'static str {
    match kind {
        OpKind::Lookup => "lookup",
        OpKind::Create => "get or create",
        OpKind::Update => "update",
        OpKind::Delete => "delete",
    }
}

fn inner_target(case: &Case) -> &'static str {
    match (case.same_owner, case.same_map) {
        (true, true) => "same element",
        (true, false) => "same owner",
        (false, true) => "other owner, same map",
        (false, false) => "other owner",
    }
}

fn result_name(result: OpResult) -> String {
    match result {
        Ok(()) => "ok".into(),
        Err(errno) => format!("{errno:?}"),
    }
}
