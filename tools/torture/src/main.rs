// SPDX-License-Identifier: GPL-2.0
//! `ostor-torture`: the test drivers, stress tests and measurements of owner storage.

mod bench;
mod blackout;
mod cli;
mod contexts;
mod cpus;
mod cycles;
mod faults;
mod guards;
mod irqsoff;
mod mass_exit;
mod matrix;
mod recurse;
mod self_churn;
mod soak;
mod stress;
mod upstream;

use std::process::ExitCode;

use anyhow::Result;
use ostor::exit::Exit;
use ostor::output::Output;
use ostor::program;

use crate::cli::{Cli, Command};

fn main() -> ExitCode {
    program::main(|cli: &Cli| cli.json, |cli, output| run(cli.command, output))
}

fn run(command: Command, output: &Output) -> Result<Exit> {
    match command {
        Command::Recurse(args) => recurse::run(&args, output),
        Command::Contexts(args) => contexts::run(&args, output),
        Command::Cycles(args) => cycles::run(&args, output),
        Command::Bench(args) => bench::run(&args, output),
        Command::Stress(args) => stress::run(&args, output),
        Command::Soak(args) => soak::run(&args, output),
        Command::Blackout(args) => blackout::run(&args, output),
        Command::MassExit(args) => mass_exit::run(&args, output),
        Command::UpstreamTests(args) => upstream::run(&args, output),
        Command::CompareGuards(args) => guards::run(&args, output),
    }
}
