// SPDX-License-Identifier: GPL-2.0
//! The command line.

use clap::Parser;
use ostor::text::COLUMNS;

/// Calls every command of /dev/owner_storage with all sorts of arguments.
///
/// The last line is "fuzz: ok" if nothing is left of what the calls created.
#[derive(Debug, Parser)]
#[command(name = "ostor-fuzz", version, max_term_width = COLUMNS)]
pub(crate) struct Cli {
    /// How many calls
    #[arg(long, default_value_t = 100_000)]
    pub(crate) ops: u64,
    /// What the sequence of calls starts from
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// How many threads
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) threads: u16,
    /// How long at most, if it is not 0
    #[arg(long, default_value_t = 0)]
    pub(crate) seconds: u64,
}
