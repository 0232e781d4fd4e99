// SPDX-License-Identifier: GPL-2.0
//! Writes the man pages and the bash completion of the tools to DIR/man1 and
//! DIR/completions, from the definitions that the tools parse with.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Command, CommandFactory, Parser};
use clap_complete::Shell;

// Only the definitions of the command lines are used.
#[allow(dead_code)]
#[path = "../../ostor/src/cli.rs"]
mod cli;
#[allow(dead_code)]
#[path = "../../fuzz/src/cli.rs"]
mod fuzz;
#[allow(dead_code)]
#[path = "../../ostor/src/owner_name.rs"]
mod owner_name;
#[allow(dead_code)]
#[path = "../../torture/src/cli.rs"]
mod torture;

/// Write the man pages and the bash completion of the tools.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Directory to write to
    dir: PathBuf,
}

fn main() -> Result<()> {
    let dir = Args::parse().dir;
    write(cli::Cli::command(), &dir).context("ostor")?;
    write(torture::Cli::command(), &dir).context("ostor-torture")?;
    write(fuzz::Cli::command(), &dir).context("ostor-fuzz")
}

fn write(mut command: Command, dir: &Path) -> Result<()> {
    let man = dir.join("man1");
    let completions = dir.join("completions");
    fs::create_dir_all(&man)?;
    fs::create_dir_all(&completions)?;
    // Before the completion is generated, which adds the subcommands `help`. Subcommands have
    // pages too, such as ostor-map-create.1.
    clap_mangen::generate_to(command.clone().disable_help_subcommand(true), man)?;
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(Shell::Bash, &mut command, &name, &mut script);
    // bash-completion looks for a file with the name of the program.
    fs::write(completions.join(&name), script)?;
    Ok(())
}
