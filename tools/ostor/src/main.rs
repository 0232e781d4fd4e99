// SPDX-License-Identifier: GPL-2.0
//! `ostor`, the command line of `/dev/owner_storage`.

mod cli;
mod commands;
mod demo;
mod figures;
mod found_owner;
mod holder;
mod lists;
mod owner_name;
mod value;
mod watch;

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
        Command::Map(command) => commands::map(command, output),
        Command::Get(args) => commands::get(&args, output),
        Command::Set(args) => commands::set(&args, output),
        Command::Delete(target) => commands::delete(&target, output),
        Command::Take(target) => commands::take(&target, output),
        Command::List(args) => commands::list(&args, output),
        Command::Stats => commands::stats(output),
        Command::Watch(args) => watch::run(&args, output),
        Command::Demo(args) => demo::run(&args, output),
        Command::Hold(args) => holder::serve(&args.name),
    }
}
