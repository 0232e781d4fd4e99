// SPDX-License-Identifier: GPL-2.0
//! The results of the calls.

use std::collections::BTreeMap;

use nix::errno::Errno;
use ostor::text::{grouped, table};
use serde_json::{Value, json};

use crate::grammar::Grammar;

/// Number of calls by command and errno value.
#[derive(Debug)]
pub(crate) struct Results(Vec<BTreeMap<i32, u64>>);

/// The key of a success.
const OK: i32 = 0;

impl Results {
    pub(crate) fn new(commands: usize) -> Self {
        Self(vec![BTreeMap::new(); commands])
    }

    pub(crate) fn add(&mut self, command: usize, result: Result<(), Errno>) {
        let code = result.map_or_else(|errno| errno as i32, |()| OK);
        *self.0[command].entry(code).or_default() += 1;
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (all, part) in self.0.iter_mut().zip(&other.0) {
            for (code, count) in part {
                *all.entry(*code).or_default() += count;
            }
        }
    }

    /// Number of calls.
    pub(crate) fn calls(&self) -> u64 {
        self.0.iter().flat_map(BTreeMap::values).sum()
    }

    pub(crate) fn to_json(&self, grammars: &[Grammar]) -> Value {
        let commands = grammars.iter().zip(&self.0).map(|(grammar, results)| {
            let results = results.iter().map(|(code, count)| {
                let name = match *code {
                    OK => "ok".to_owned(),
                    code => format!("{:?}", Errno::from_raw(code)),
                };
                (name, json!(count))
            });
            (grammar.name.to_owned(), Value::Object(results.collect()))
        });
        Value::Object(commands.collect())
    }

    pub(crate) fn as_table(&self, grammars: &[Grammar]) -> String {
        let rows = grammars.iter().zip(&self.0).map(|(grammar, results)| {
            let mut errors: Vec<_> = results.iter().filter(|(code, _)| **code != OK).collect();
            errors.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
            let errors = errors
                .into_iter()
                .map(|(code, count)| format!("{:?} {}", Errno::from_raw(*code), grouped(*count)));
            [
                grammar.name.to_owned(),
                grouped(results.values().sum()),
                grouped(results.get(&OK).copied().unwrap_or(0)),
                errors.collect::<Vec<_>>().join(", "),
            ]
        });
        table(["command", "calls", "ok", "errors"], rows).to_string()
    }
}

#[cfg(test)]
mod tests {
    use std::io::stdout;

    use ostor::text::columns;

    use super::*;

    #[test]
    fn many_errors_take_several_lines() {
        let mut all = Results::new(1);
        for code in 1..=40 {
            all.add(0, Err(Errno::from_raw(code)));
        }
        let text = all.as_table(&crate::grammar::all()[..1]);
        let widest = text.lines().map(str::len).max();
        assert!(widest <= Some(columns(stdout())), "{text}");
        assert!(text.contains("EPERM 1, "), "{text}");
    }

    #[test]
    fn results_add_up() {
        let mut all = Results::new(2);
        all.add(0, Ok(()));
        let mut part = Results::new(2);
        part.add(1, Err(Errno::EINVAL));
        part.add(1, Err(Errno::EINVAL));
        all.merge(&part);
        assert_eq!(all.calls(), 3);
        let grammars = &crate::grammar::all()[..2];
        assert!(all.as_table(grammars).contains("EINVAL 2"));
        let json = all.to_json(grammars);
        assert_eq!(json["MAP_CREATE"], json!({ "ok": 1 }));
        assert_eq!(json["MAP_INFO"], json!({ "EINVAL": 2 }));
    }
}
