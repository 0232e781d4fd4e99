// SPDX-License-Identifier: GPL-2.0
//! What the `main` functions of the tools have in common: the command line is parsed,
//! a command runs, and its error becomes a message and an exit status.

use std::env;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use crate::exit::{Exit, UsageError};
use crate::output::{Output, WriteError};

/// Parses the command line and runs the command. `is_json` says whether the command
/// line asks for JSON.
pub fn main<C: Parser>(
    is_json: impl FnOnce(&C) -> bool,
    run: impl FnOnce(C, &Output) -> Result<Exit>,
) -> ExitCode {
    let (output, result) = match C::try_parse() {
        Ok(cli) => {
            let output = Output::new(is_json(&cli));
            let result = run(cli, &output);
            (output, result)
        }
        Err(error) if error.use_stderr() => {
            // What follows `--` are values.
            let mut options = env::args_os().skip(1).take_while(|word| word != "--");
            let output = Output::new(options.any(|word| word == "--json"));
            let text = usage_text(&error, output.is_json());
            (output, Err(UsageError(text).into()))
        }
        Err(help) => {
            let printed = help.print().map_err(WriteError);
            (
                Output::new(false),
                printed.map(|()| Exit::Ok).map_err(Into::into),
            )
        }
    };
    let exit = result.unwrap_or_else(|error| {
        let exit = Exit::of(&error);
        output.error(&error, exit);
        exit
    });
    ExitCode::from(exit as u8)
}

/// What clap says, without its own "error: ". For a program only the first paragraph,
/// which names the mistake; the others are advice for a reader.
fn usage_text(error: &clap::Error, is_json: bool) -> String {
    let text = error.to_string();
    let text = text.trim_end().strip_prefix("error: ").unwrap_or(&text);
    match text.split_once("\n\n") {
        Some((first, _)) if is_json => {
            let words: Vec<_> = first.split_whitespace().collect();
            words.join(" ")
        }
        _ => text.to_owned(),
    }
}

/// The name under which this program was started.
pub fn name() -> String {
    let path = env::args_os().next().unwrap_or_default();
    let name = Path::new(&path).file_name().unwrap_or(&path);
    name.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=7))]
        days: u32,
    }

    #[test]
    fn a_mistake_on_the_command_line_is_named_in_one_line_of_json() {
        let error = |words: &[&str]| Cli::try_parse_from(words).unwrap_err();
        let text = usage_text(&error(&["x"]), true);
        assert_eq!(
            text,
            "the following required arguments were not provided: --days <DAYS>"
        );
        let text = usage_text(&error(&["x", "--days", "9"]), true);
        assert!(text.ends_with("9 is not in 1..=7"), "{text}");
        let text = usage_text(&error(&["x"]), false);
        assert!(text.contains("\n\nUsage: x --days"), "{text}");
        assert!(!text.starts_with("error"), "{text}");
    }
}
