// SPDX-License-Identifier: GPL-2.0
//! Cases of recursion with their outcomes, as text and as JSON.

use comfy_table::Table;
use nix::errno::Errno;
use serde::Serialize;

use super::{Case, Fixture, OpResult, Verdict};
use crate::text::table;
use crate::torture::{OpKind, Point};

/// The result of an operation that succeeded.
const OK: &str = "ok";

/// A case that was tried.
#[derive(Debug, Serialize)]
pub struct Tried {
    #[serde(flatten)]
    case: Case,
    outer_result: String,
    inner_result: String,
    again: Option<String>,
    /// Whether the outcome is the promised one.
    pub ok: bool,
}

/// Tries cases on new processes and maps.
pub fn try_all(cases: &[Case]) -> anyhow::Result<Vec<Tried>> {
    let fixture = Fixture::new()?;
    let mut tried = Vec::new();
    for case in cases {
        tried.push(Tried::new(*case, fixture.run(case)?));
    }
    Ok(tried)
}

/// A table with a row for each lock that is held and each inner operation, and a column
/// for each owner of the inner operation.
pub fn as_table(tried: &[Tried]) -> Table {
    let mut rows: Vec<[String; 5]> = Vec::new();
    for tried in tried {
        let case = &tried.case;
        let what = [lock_held(case), op_name(case.outer), op_name(case.inner)];
        let row = match rows.iter().position(|row| row[..3] == what) {
            Some(row) => &mut rows[row],
            None => {
                let [held, outer, inner] = what.map(str::to_owned);
                rows.push([held, outer, inner, String::new(), String::new()]);
                rows.last_mut().expect("a row was just pushed")
            }
        };
        row[if case.same_owner { 4 } else { 3 }] = tried.in_short();
    }
    let head = ["lock held", "outer", "inner", "other owner", "same owner"];
    table(head, rows)
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

    /// The case as lines of text.
    pub fn in_lines(&self) -> String {
        let case = &self.case;
        let outer = format!("{}: {}", op_name(case.outer), self.outer_result);
        let inner = format!(
            "{}, {}: {}",
            op_name(case.inner),
            inner_target(case),
            self.inner_result
        );
        let mut parts = vec![
            ("lock held", lock_held(case).to_owned()),
            ("outer", outer),
            ("inner", inner),
        ];
        parts.extend(self.again.clone().map(|again| ("again", again)));
        let as_promised = if self.ok { "yes" } else { "NO" };
        parts.push(("as promised", as_promised.to_owned()));
        let lines = parts
            .into_iter()
            .map(|(part, text)| format!("{part:11}  {text}"));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// The result of the inner operation, and the outer one's if it failed.
    pub fn in_short(&self) -> String {
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

    /// The case in a few words.
    pub fn name(&self) -> String {
        let case = &self.case;
        let (outer, inner) = (op_name(case.outer), op_name(case.inner));
        let (held, target) = (lock_held(case), inner_target(case));
        format!("{inner} ({target}) inside {outer}, lock held: {held}")
    }

    /// Whether the inner operation failed with EDEADLK.
    pub fn is_deadlock(&self) -> bool {
        self.inner_result == result_name(Err(Errno::EDEADLK))
    }
}

/// The name of an operation.
pub fn op_name(kind: OpKind) -> &'static str {
    match kind {
        OpKind::Lookup => "lookup",
        OpKind::Create => "get or create",
        OpKind::Update => "update",
        OpKind::Delete => "delete",
    }
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
    use crate::text::assert_fits;

    /// All cases of the table, with one result.
    fn tried(inner: Result<(), Errno>) -> Vec<Tried> {
        let tried = |case| Tried {
            case,
            outer_result: OK.into(),
            inner_result: result_name(inner),
            again: inner.is_err().then(|| OK.into()),
            ok: true,
        };
        Case::overview().into_iter().map(tried).collect()
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
    fn a_wrong_outcome_is_marked() {
        let mut tried = tried(Ok(())).remove(0);
        assert_eq!(tried.in_short(), "ok");
        tried.ok = false;
        tried.outer_result = "ENOMEM".into();
        assert_eq!(tried.in_short(), "ok; outer ENOMEM  <-- WRONG");
        assert!(tried.in_lines().contains("\nouter        update: ENOMEM\n"));
        assert!(tried.in_lines().ends_with("\nas promised  NO"));
        let name = "lookup (other owner) inside update, lock held: none";
        assert_eq!(tried.name(), name);
    }
}
