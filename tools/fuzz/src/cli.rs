// SPDX-License-Identifier: GPL-2.0
//! The command line of `ostor-fuzz`.

use clap::Parser;
use ostor::text::COLUMNS;

/// Call every command of the device with valid, nearly valid and random arguments.
///
/// The last line is "fuzz: ok" if no object that the calls created is left.
#[derive(Debug, Parser)]
#[command(name = "ostor-fuzz", version, max_term_width = COLUMNS)]
pub(crate) struct Cli {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Number of calls
    #[arg(long, default_value_t = 100_000)]
    pub(crate) ops: u64,
    /// Seed of the random sequence of calls
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Number of threads
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) threads: u16,
    /// Longest duration; 0 for no limit
    #[arg(long, default_value_t = 0)]
    pub(crate) seconds: u64,
}
