// SPDX-License-Identifier: GPL-2.0
//! `ostor recurse`: one operation inside another.

use anyhow::Result;
use comfy_table::Table;
use nix::errno::Errno;
use ostor::device::{OpKind, Point};
use ostor::recursion::{Case, OpResult, Stage, Verdict};
use serde::Serialize;

use crate::cli::RecurseArgs;
use crate::exit::{Exit, UsageError};
use crate::matrix;
use crate::output::{Output, table};

/// The result of an operation that succeeded.
const OK: &str = "ok";

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
    let text = match tried.as_slice() {
        [one] => in_lines(one),
        all => as_table(all).to_string(),
    };
    output.result(&tried, text)?;
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

/// The cases as a table for a person: a row for each lock that is held and each
/// inner operation, with what comes of it on another owner and on the same one.
pub(crate) fn as_table(tried: &[Tried]) -> Table {
    let mut rows: Vec<[String; 5]> = Vec::new();
    for tried in tried {
        let case = &tried.case;
        let what = [lock_held(case), op_name(case.outer), op_name(case.inner)];
        let row = match rows.iter().position(|row| row[..3] == what) {
            Some(row) => &mut rows[row],
            None => {
                let [held, outer, inner] = what.map(str::to_owned);
                rows.push([held, outer, inner, String::new(), String::new()]);
                rows.last_mut().expect("one was just pushed")
            }
        };
        row[if case.same_owner { 4 } else { 3 }] = tried.in_short();
    }
    let head = ["lock held", "outer", "inner", "other owner", "same owner"];
    table(head, rows)
}

/// One case, a line for each of its parts.
fn in_lines(tried: &Tried) -> String {
    let case = &tried.case;
    let mut parts = vec![
        ("lock held", lock_held(case).to_owned()),
        (
            "outer",
            format!("{}: {}", op_name(case.outer), tried.outer_result),
        ),
        (
            "inner",
            format!(
                "{}, {}: {}",
                op_name(case.inner),
                inner_target(case),
                tried.inner_result
            ),
        ),
    ];
    parts.extend(tried.again.clone().map(|again| ("again", again)));
    parts.push((
        "as it must be",
        if tried.ok { "yes" } else { "NO" }.to_owned(),
    ));
    let lines = parts
        .into_iter()
        .map(|(part, text)| format!("{part:13}  {text}"));
    lines.collect::<Vec<_>>().join("\n")
}

fn lock_held(case: &Case) -> &'static str {
    match case.point {
        Point::None => "none",
        Point::Storage => "storage's",
        Point::Bucket => "bucket's",
        Point::Both => "both",
        Point::Alloc => "none (allocating)",
        Point::Drop => "none (in a drop)",
    }
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

    /// What the inner operation returned; of the outer one only an error.
    fn in_short(&self) -> String {
        let mut text = self.inner_result.clone();
        if let Some(again) = &self.again {
            text.push_str(&format!(", then {again}"));
        }
        if self.outer_result != OK {
            text.push_str(&format!("; outer {}", self.outer_result));
        }
        if !self.ok {
            text.push_str("  <-- WRONG");
        }
        text
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
        Ok(()) => OK.into(),
        Err(errno) => format!("{errno:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::assert_fits;

    /// All that the table of locks shows.
    fn tried(inner: Result<(), Errno>) -> Vec<Tried> {
        let tried = |case| Tried {
            case,
            outer_result: OK.into(),
            inner_result: result_name(inner),
            again: inner.is_err().then(|| OK.into()),
            ok: true,
        };
        Case::story().into_iter().map(tried).collect()
    }

    #[test]
    fn the_table_has_a_row_for_each_lock_and_operation() {
        let text = as_table(&tried(Err(Errno::EDEADLK))).to_string();
        assert_eq!(text.lines().count(), 2 + 4 * 4, "{text}");
        let row = "| storage's | update | get or create | EDEADLK, then ok | EDEADLK, then ok |";
        assert!(text.contains(row), "{text}");
        let text = as_table(&tried(Ok(()))).to_string();
        assert!(text.contains("| bucket's  | delete | lookup        | ok          | ok         |"));
    }

    #[test]
    fn the_table_fits() {
        assert_fits(as_table(&tried(Err(Errno::EDEADLK))));
    }

    #[test]
    fn what_is_wrong_is_told() {
        let mut tried = tried(Ok(())).remove(0);
        assert_eq!(tried.in_short(), "ok");
        tried.ok = false;
        tried.outer_result = "ENOMEM".into();
        assert_eq!(tried.in_short(), "ok; outer ENOMEM  <-- WRONG");
        assert!(in_lines(&tried).contains("\nouter          update: ENOMEM\n"));
        assert!(in_lines(&tried).ends_with("\nas it must be  NO"));
    }
}
