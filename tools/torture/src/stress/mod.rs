// SPDX-License-Identifier: GPL-2.0
//! `ostor-torture stress`: races of operations against the ends of owners and maps.

pub(crate) mod accept;
mod cgroups;
mod churn;
pub(crate) mod descriptors;
pub(crate) mod fork_reap;
mod gate;
pub(crate) mod mix;
mod optmem;
mod race_create;
pub(crate) mod socket_churn;
pub(crate) mod sockets;
mod stale;
pub(crate) mod worker;
pub(crate) mod workload;

use std::slice;

use anyhow::Result;
use ostor::device::{self, Kind};

use crate::cli::{
    CGROUPS, CHURN_SECONDS, CONNECTIONS, OPTMEM_ROUNDS, PROCESSES, RACE_ROUNDS, SOCKET_SECONDS,
    SOCKETS, StressArgs, StressCommand,
};
use ostor::exit::Exit;
use ostor::output::Output;
use ostor::report::Report;

/// The races that run if none is chosen: all that need neither the test flavour nor
/// parameters of the module.
const ALL: [StressCommand; 8] = [
    StressCommand::RaceCreate {
        rounds: RACE_ROUNDS,
    },
    StressCommand::ForkReap { count: PROCESSES },
    StressCommand::Churn {
        seconds: CHURN_SECONDS,
        seed: 1,
    },
    StressCommand::Sockets {
        seconds: SOCKET_SECONDS,
        count: SOCKETS,
    },
    StressCommand::SocketChurn {
        seconds: SOCKET_SECONDS,
    },
    StressCommand::Accept { count: CONNECTIONS },
    StressCommand::Cgroups { count: CGROUPS },
    StressCommand::Optmem {
        rounds: OPTMEM_ROUNDS,
    },
];

/// Runs the command.
pub(crate) fn run(args: &StressArgs, output: &Output) -> Result<Exit> {
    let stats = device::stats()?;
    let mut report = Report::default();
    for command in args
        .command
        .as_ref()
        .map_or(ALL.as_slice(), slice::from_ref)
    {
        let (name, kind) = command.needs();
        if kind.is_served(&stats) {
            report.merge(command.run()?);
        } else {
            report.skip(name, kind.why_not_served());
        }
    }
    report.print("stress", output)
}

impl StressCommand {
    /// The name of the race, and the kind of owners that it needs.
    fn needs(&self) -> (&'static str, Kind) {
        match self {
            Self::RaceCreate { .. } => ("race-create", Kind::Task),
            Self::ForkReap { .. } => ("fork-reap", Kind::Task),
            Self::Churn { .. } => ("churn", Kind::Task),
            Self::Sockets { .. } => ("sockets", Kind::Socket),
            Self::SocketChurn { .. } => ("socket-churn", Kind::Socket),
            Self::Accept { .. } => ("accept", Kind::Socket),
            Self::Cgroups { .. } => ("cgroups", Kind::Cgroup),
            Self::Optmem { .. } => ("optmem", Kind::Socket),
            Self::Stale { .. } => ("stale", Kind::Task),
        }
    }

    fn run(&self) -> Result<Report> {
        match *self {
            Self::RaceCreate { rounds } => race_create::run(rounds),
            Self::ForkReap { count } => fork_reap::run(count),
            Self::Churn { seconds, seed } => churn::run(seconds, seed),
            Self::Sockets { seconds, count } => sockets::run(seconds, count),
            Self::SocketChurn { seconds } => socket_churn::run(seconds),
            Self::Accept { count } => accept::run(count),
            Self::Cgroups { count } => cgroups::run(count),
            Self::Optmem { rounds } => optmem::run(rounds),
            Self::Stale { count } => stale::run(count),
        }
    }
}
