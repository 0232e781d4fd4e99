// SPDX-License-Identifier: GPL-2.0
//! `ostor`, the command line of `/dev/owner_storage`.

mod bench;
mod blackout;
mod cli;
mod commands;
mod contexts;
mod cpus;
mod crowd;
mod cycles;
mod demo;
mod exit;
mod faults;
mod found_owner;
mod guards;
mod holder;
mod interrupt;
mod irqsoff;
mod lists;
mod matrix;
mod output;
mod owner_name;
mod recurse;
mod self_churn;
mod stress;
mod torture;
mod upstream;
mod value;

use std::io::stderr;
use std::process::ExitCode;

use clap::Parser;
use ostor::progress;
use ostor::text::{columns, wrapped};

use crate::cli::{Cli, Command};
use crate::exit::Exit;
use crate::output::Output;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return ended_early(&error),
    };
    let output = Output::new(cli.json);
    let exit = match run(cli.command, &output) {
        Ok(exit) => exit,
        Err(error) => {
            let exit = Exit::of(&error);
            output.error(&error, exit);
            exit
        }
    };
    ExitCode::from(exit as u8)
}

/// Help was asked for and is printed, or the arguments are wrong.
fn ended_early(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        error.exit();
    }
    eprintln!("{}", wrapped(&error.to_string(), columns(stderr())));
    ExitCode::from(Exit::Usage as u8)
}

fn run(command: Command, output: &Output) -> anyhow::Result<Exit> {
    match command {
        Command::Map(command) => commands::map(command, output),
        Command::Get(args) => commands::get(&args, output),
        Command::Set(args) => commands::set(&args, output),
        Command::Delete(target) => commands::delete(&target, output),
        Command::Take(target) => commands::take(&target, output),
        Command::List(args) => lists::list(&args, output),
        Command::Stats => commands::stats(output),
        Command::Recurse(args) => recurse::run(&args, output),
        Command::Contexts(args) => contexts::run(&args, output),
        Command::Cycles(args) => cycles::run(&args, output),
        Command::Bench(args) => bench::run(&args, output),
        Command::Demo(args) => demo::run(&args, output),
        Command::Stress(args) => stress::run(&args, output),
        Command::Crowd(args) => crowd::run(&args, output),
        Command::Blackout(args) => blackout::run(&args, output),
        Command::Torture(args) => torture::run(&args, output),
        Command::UpstreamTests(args) => upstream::run(&args, output),
        Command::CompareGuards(args) => guards::run(&args, output),
        Command::Hold(args) => holder::serve(&args.name),
    }
}
