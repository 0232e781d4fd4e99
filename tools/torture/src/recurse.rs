// SPDX-License-Identifier: GPL-2.0
//! `ostor-torture recurse`: one operation inside another.

use anyhow::Result;
use ostor::exit::{Exit, UsageError};
use ostor::output::Output;
use ostor::recursion::{Case, as_table, try_all};
use ostor::torture::{OpKind, Point};

use crate::cli::RecurseArgs;
use crate::matrix;

/// Runs the command.
pub(crate) fn run(args: &RecurseArgs, output: &Output) -> Result<Exit> {
    if args.matrix {
        return matrix::run(output);
    }
    let cases = match (args.point, args.outer, args.inner) {
        (Some(point), Some(outer), Some(inner)) => vec![chosen(args, point, outer, inner)?],
        _ => Case::overview(),
    };
    let tried = try_all(&cases)?;
    let text = match tried.as_slice() {
        [one] => one.in_lines(),
        all => as_table(all).to_string(),
    };
    output.result(&tried, text)?;
    Ok(Exit::check(tried.iter().all(|tried| tried.ok)))
}

/// The case that the options describe.
fn chosen(args: &RecurseArgs, point: Point, outer: OpKind, inner: OpKind) -> Result<Case> {
    let same_key = !args.other_owner && !args.other_map;
    let case = Case {
        point,
        context: args.context,
        outer,
        outer_exists: args.outer_exists,
        inner,
        inner_exists: match same_key {
            true => args.outer_exists,
            false => args.inner_exists,
        },
        same_owner: !args.other_owner,
        same_map: !args.other_map,
    };
    if !case.fires() {
        let outer = match point {
            Point::Bucket | Point::Drop => {
                "a delete or update of an existing element (--outer-exists)"
            }
            Point::Alloc => "an update or the create of a new element",
            _ => "an update, a delete or the create of a new element",
        };
        return Err(UsageError(format!("only {outer} passes the point `{point}`")).into());
    }
    Ok(case)
}
