// SPDX-License-Identifier: GPL-2.0
//! `ostor upstream-tests`: the selftests of BPF local storage that its change to
//! rqspinlock was tested with, redone on this module's device and owners, with
//! upstream's numbers as what must come out.
//!
//! Upstream's are in `tools/testing/selftests/bpf`, `prog_tests` and `map_tests`.

mod exit_creds;
mod nodeadlock;
mod omem_uncharge;
mod recursion;
mod row;
mod stress_change;
mod stress_free;

use anyhow::{Context, Result};
use comfy_table::Table;
use ostor::device::{self, Kind};
use serde_json::json;

use crate::cli::UpstreamTestsArgs;
use crate::exit::Exit;
use crate::output::{Output, table, verdict};
use row::Row;

/// One of upstream's tests.
struct Test {
    /// Upstream's name.
    name: &'static str,
    /// The kind of owners without which it is nothing.
    kind: Kind,
    run: fn(&UpstreamTestsArgs) -> Result<Row>,
}

const TESTS: [Test; 6] = [
    Test {
        name: "task_local_storage/recursion",
        kind: Kind::Task,
        run: |_| recursion::run(),
    },
    Test {
        name: "task_local_storage/nodeadlock",
        kind: Kind::Task,
        run: |_| nodeadlock::run(),
    },
    Test {
        name: "task_local_storage/exit_creds",
        kind: Kind::Task,
        run: |_| exit_creds::run(),
    },
    Test {
        name: "sk_storage_omem_uncharge",
        kind: Kind::Socket,
        run: |_| omem_uncharge::run(),
    },
    Test {
        name: "sk_storage_map/stress_free",
        kind: Kind::Socket,
        run: |args| stress_free::run(args.seconds),
    },
    Test {
        name: "sk_storage_map/stress_change",
        kind: Kind::Socket,
        run: |args| stress_change::run(args.seconds),
    },
];

/// `ostor upstream-tests`
pub(crate) fn run(args: &UpstreamTestsArgs, output: &Output) -> Result<Exit> {
    let stats = device::stats()?;
    let (mut rows, mut skipped) = (Vec::new(), Vec::new());
    for test in &TESTS {
        if test.kind.is_served(&stats) {
            let row = (test.run)(args).with_context(|| format!("{} broke off", test.name))?;
            rows.push((test.name, row));
        } else {
            skipped.push((test.name, test.kind.why_not_served()));
        }
    }
    let ok = rows.iter().all(|(_, row)| row.ok());
    let result = json!({
        "tests": rows.iter().map(|(name, row)| row.to_json(name)).collect::<Vec<_>>(),
        "skipped": skipped,
        "ok": ok,
    });
    let mut text = as_text(&rows);
    for (name, why) in &skipped {
        text.push_str(&format!("\nskipped: {name}: {why}"));
    }
    text.push_str(&format!("\nupstream-tests: {}", verdict(ok, skipped.len())));
    output.result(result, text)?;
    Ok(Exit::check(ok))
}

/// A row for each figure, below one for its test.
fn as_table(rows: &[(&str, Row)]) -> Table {
    let cells = rows.iter().flat_map(|(name, row)| {
        let right = if row.ok() { "yes" } else { "NO" };
        let test = [*name, "", "", right].map(str::to_owned);
        [test].into_iter().chain(row.cells())
    });
    let head = ["test and its figures", "upstream", "ours", "as it must be"];
    table(head, cells)
}

fn as_text(rows: &[(&str, Row)]) -> String {
    let mut text = as_table(rows).to_string();
    text.push_str("\n\nHow ours differ:");
    for (name, row) in rows {
        text.push_str(&format!("\n  {name}: {}", row.differs));
    }
    for (name, row) in rows {
        for problem in &row.problems {
            text.push_str(&format!("\nWRONG: {name}: {problem}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::row::Wanted;
    use super::*;
    use crate::output::assert_fits;

    #[test]
    fn the_table_fits() {
        let row = || {
            let row = Row::new("in nothing").upstream("errors", Wanted::Some, 0);
            row.and("rounds of 4 x 4,096 sockets", Wanted::Some, 1_234_567_890)
        };
        let rows: Vec<_> = TESTS.iter().map(|test| (test.name, row())).collect();
        assert_fits(as_table(&rows));
        let text = as_text(&rows);
        assert!(text.contains("| sk_storage_map/stress_free "), "{text}");
        assert!(text.contains("|   errors "), "{text}");
    }
}
