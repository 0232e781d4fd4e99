// SPDX-License-Identifier: GPL-2.0
//! `ostor stress`: the races that the module must survive.

pub(crate) mod accept;
mod cgroups;
mod churn;
pub(crate) mod descriptors;
pub(crate) mod findings;
pub(crate) mod fork_reap;
mod gate;
mod optmem;
pub(crate) mod player;
mod race_create;
pub(crate) mod role;
pub(crate) mod socket_churn;
pub(crate) mod sockets;
mod stale;
pub(crate) mod world;

use std::slice;

use anyhow::Result;
use ostor::device::{self, Kind};
use ostor::random;

use crate::cli::{
    CGROUPS, CHURN_SECONDS, CONNECTIONS, OPTMEM_ROUNDS, PROCESSES, RACE_ROUNDS, SOCKET_SECONDS,
    SOCKETS, StressArgs, StressCommand,
};
use crate::exit::Exit;
use crate::output::Output;
use findings::Findings;

/// Every way that the module can be put under stress as it is, when none is
/// chosen.
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

/// `ostor stress …`
pub(crate) fn run(args: &StressArgs, output: &Output) -> Result<Exit> {
    let stats = device::stats()?;
    let mut findings = Findings::default();
    for command in args
        .command
        .as_ref()
        .map_or(ALL.as_slice(), slice::from_ref)
    {
        let (name, kind) = command.needs();
        if kind.is_served(&stats) {
            findings.merge(command.run()?);
        } else {
            findings.skip(name, kind.why_not_served());
        }
    }
    findings.print("stress", output)
}

impl StressCommand {
    /// What it is called, and the kind of owners without which it is nothing.
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

    fn run(&self) -> Result<Findings> {
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
