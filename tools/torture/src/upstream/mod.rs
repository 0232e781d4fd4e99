// SPDX-License-Identifier: GPL-2.0
//! `ostor-torture upstream-tests`: the selftests with which the change of BPF local storage
//! to rqspinlock was tested, written anew for this module, with the results that upstream
//! expects.
//!
//! Upstream's tests are in `tools/testing/selftests/bpf`, `prog_tests` and `map_tests`.

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
use ostor::exit::Exit;
use ostor::output::Output;
use ostor::report::Report;
use ostor::text::table;
use row::Row;

/// One of upstream's tests.
struct Test {
    /// Upstream's name.
    name: &'static str,
    /// The kind of owners that the test needs.
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

/// Runs the command.
pub(crate) fn run(args: &UpstreamTestsArgs, output: &Output) -> Result<Exit> {
    let stats = device::stats()?;
    let (mut rows, mut report) = (Vec::new(), Report::default());
    for test in &TESTS {
        if test.kind.is_served(&stats) {
            let row = (test.run)(args).with_context(|| format!("{} broke off", test.name))?;
            row.add_problems(test.name, &mut report);
            rows.push((test.name, row));
        } else {
            report.skip(test.name, test.kind.why_not_served());
        }
    }
    let tests = rows.iter().map(|(name, row)| row.to_json(name));
    let fields = json!({ "tests": tests.collect::<Vec<_>>() });
    report.print_with("upstream-tests", fields, as_text(&rows), output)
}

/// A row for each test, and one for each of its figures.
fn as_table(rows: &[(&str, Row)]) -> Table {
    let cells = rows.iter().flat_map(|(name, row)| {
        let right = if row.ok() { "yes" } else { "NO" };
        let test = [*name, "", "", right].map(str::to_owned);
        [test].into_iter().chain(row.cells())
    });
    let head = ["test and its figures", "upstream", "ours", "as expected"];
    table(head, cells)
}

fn as_text(rows: &[(&str, Row)]) -> String {
    let mut text = as_table(rows).to_string();
    text.push_str("\n\nDifferences from upstream's tests:");
    for (name, row) in rows {
        text.push_str(&format!("\n  {name}: {}", row.differs));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::row::Wanted;
    use super::*;
    use ostor::text::assert_fits;

    #[test]
    fn the_table_fits() {
        let row = || {
            let row = Row::new("not at all").upstream("errors", Wanted::Some, 0);
            row.and("rounds of 4 x 4,096 sockets", Wanted::Some, 1_234_567_890)
        };
        let rows: Vec<_> = TESTS.iter().map(|test| (test.name, row())).collect();
        assert_fits(as_table(&rows));
        let text = as_text(&rows);
        assert!(text.contains("| sk_storage_map/stress_free "), "{text}");
        assert!(text.contains("|   errors "), "{text}");
    }
}
