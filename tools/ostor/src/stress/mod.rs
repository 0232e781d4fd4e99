// SPDX-License-Identifier: GPL-2.0
//! `ostor stress`: the races that the module must survive.

mod churn;
mod findings;
mod fork_reap;
mod gate;
mod player;
mod race_create;
mod random;
mod world;

use std::slice;

use anyhow::Result;

use crate::cli::{CHURN_SECONDS, PROCESSES, RACE_ROUNDS, StressArgs, StressCommand};
use crate::exit::Exit;
use crate::output::Output;
use findings::Findings;

/// Every way, when none is chosen.
const ALL: [StressCommand; 3] = [
    StressCommand::RaceCreate {
        rounds: RACE_ROUNDS,
    },
    StressCommand::ForkReap { count: PROCESSES },
    StressCommand::Churn {
        seconds: CHURN_SECONDS,
        seed: 1,
    },
];

/// `ostor stress …`
pub(crate) fn run(args: &StressArgs, output: &Output) -> Result<Exit> {
    let mut findings = Findings::default();
    for command in args
        .command
        .as_ref()
        .map_or(ALL.as_slice(), slice::from_ref)
    {
        findings.merge(match *command {
            StressCommand::RaceCreate { rounds } => race_create::run(rounds)?,
            StressCommand::ForkReap { count } => fork_reap::run(count)?,
            StressCommand::Churn { seconds, seed } => churn::run(seconds, seed)?,
        });
    }
    findings.print(output)
}
