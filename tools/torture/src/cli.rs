// SPDX-License-Identifier: GPL-2.0
//! The command line of `ostor-torture`.

use clap::{Args, Parser, Subcommand};
use ostor::device::Kind;
use ostor::text::COLUMNS;
use ostor::torture::{Context, OpKind, Point};

const AFTER_HELP: &str = "\
All commands need the torture module, owner_storage_torture.ko. Some need the
test flavour, which can make locks and allocations fail: load
owner_storage_test.ko and owner_storage_test_torture.ko instead.

Example:
  ostor-torture recurse --matrix
  ostor-torture contexts --context nmi --owner socket
  ostor-torture soak --no-faults --seconds 10

Exit status:
  0  all checks passed              4  the device refused; its errno is shown
  1  a check failed                 6  another system call failed, or standard
  2  wrong usage                       output cannot be written
  3  no device: module or test flavour not loaded, or not root";

/// Rounds of `stress race-create`.
pub(crate) const RACE_ROUNDS: u64 = 100_000;

/// Processes of `stress fork-reap`.
pub(crate) const PROCESSES: u64 = 20_000;

/// Seconds of `stress churn`.
pub(crate) const CHURN_SECONDS: u64 = 30;

/// Seconds of `stress sockets` and `stress socket-churn`.
pub(crate) const SOCKET_SECONDS: u64 = 5;

/// Sockets of each thread of `stress sockets`.
pub(crate) const SOCKETS: u64 = 4096;

/// Connections of `stress accept`.
pub(crate) const CONNECTIONS: u64 = 10_000;

/// Cgroups of `stress cgroups`.
pub(crate) const CGROUPS: u64 = 2000;

/// Rounds of `stress optmem`.
pub(crate) const OPTMEM_ROUNDS: u64 = 20;

/// Owners of `mass-exit`.
pub(crate) const MASS_EXIT_OWNERS: u64 = 100_000;

/// Owners of each kind of `stress stale`.
pub(crate) const STALE_OWNERS: u64 = 500;

/// Seconds for which `compare-guards` measures each guard.
const GUARD_SECONDS: u64 = 5;

/// Torture owner storage: recursion, interrupt and NMI contexts, lock cycles, faults,
/// races; and measure its operations.
#[derive(Debug, Parser)]
#[command(
    name = "ostor-torture",
    version,
    after_help = AFTER_HELP,
    infer_subcommands = true,
    max_term_width = COLUMNS
)]
pub(crate) struct Cli {
    /// Print JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run one operation inside another, and show what both return
    Recurse(RecurseArgs),
    /// Run operations in interrupts, NMIs, probes and inside the allocator, while
    /// a thread on the same CPU runs them too
    Contexts(ContextsArgs),
    /// Make lock cycles of two and three CPUs, and a lock holder that stalls, and
    /// measure the time until each ends with an error
    Cycles(CyclesArgs),
    /// Measure the cost of the operations
    Bench(BenchArgs),
    /// Race operations against the ends of owners and maps; without a subcommand,
    /// all races except `stale`
    Stress(StressArgs),
    /// Run all operations for a long time while locks and allocations fail
    Soak(SoakArgs),
    /// Let owners die and a map be freed while no lock can be taken
    Blackout(BlackoutArgs),
    /// Free a map with very many elements while their owners die
    MassExit(MassExitArgs),
    /// Run the selftests of BPF local storage on this module, and compare with the
    /// results that upstream expects
    UpstreamTests(UpstreamTestsArgs),
    /// Count the failures that only the guard causes: the per-CPU counter that BPF
    /// storage had, and rqspinlock
    CompareGuards(CompareGuardsArgs),
}

/// Without options: each lock, inner operation and owner, as a table.
#[derive(Debug, Args)]
pub(crate) struct RecurseArgs {
    /// Try all cases, and compare them with the table in Documentation/matrix.rst
    #[arg(long, conflicts_with = "point")]
    pub(crate) matrix: bool,
    /// Context of the inner operation; `task` runs it in a probe
    #[arg(long, requires = "point", default_value = "task")]
    pub(crate) context: Context,
    /// Point of the outer operation at which the inner one runs
    #[arg(long, requires_all = ["outer", "inner"])]
    pub(crate) point: Option<Point>,
    /// Outer operation
    #[arg(long, requires = "point")]
    pub(crate) outer: Option<OpKind>,
    /// Inner operation
    #[arg(long, requires = "point")]
    pub(crate) inner: Option<OpKind>,
    /// Let the outer operation find an element
    #[arg(long, requires = "point")]
    pub(crate) outer_exists: bool,
    /// Let the inner operation find an element
    #[arg(long, requires = "point")]
    pub(crate) inner_exists: bool,
    /// Run the inner operation on another owner
    #[arg(long, requires = "point")]
    pub(crate) other_owner: bool,
    /// Run the inner operation in another map
    #[arg(long, requires = "point")]
    pub(crate) other_map: bool,
}

/// Without options: every context, each kind of owners, all CPUs at once.
#[derive(Debug, Args)]
pub(crate) struct ContextsArgs {
    /// Only this context; may be given more than once
    #[arg(long)]
    pub(crate) context: Vec<Context>,
    /// Only this kind of owners; may be given more than once
    #[arg(long)]
    pub(crate) owner: Vec<Kind>,
    /// Only this operation; several, in the given order, form a batch
    #[arg(long)]
    pub(crate) op: Vec<OpKind>,
    /// Only these CPUs, such as 0,2
    #[arg(long, value_delimiter = ',')]
    pub(crate) cpus: Vec<usize>,
    /// Seconds for each context and kind of owners
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) seconds: u64,
    /// Microseconds from one batch to the next
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    pub(crate) period_us: u32,
    /// Run no thread that the context interrupts
    #[arg(long)]
    pub(crate) alone: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CyclesArgs {
    /// Runs of each case
    #[arg(long, default_value_t = 100)]
    pub(crate) runs: usize,
    /// Milliseconds by which a lock may miss its time-out. It reads the clock once
    /// in 65,536 iterations of its loop, about every millisecond on a processor and
    /// every few hundred in an emulator
    #[arg(long, value_name = "MS", default_value_t = 500, value_parser = clap::value_parser!(u64).range(..=60_000))]
    pub(crate) slack_ms: u64,
}

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// Run each measurement 8 times instead of 500
    #[arg(long)]
    pub(crate) quick: bool,
    /// Measure owners that have values in N maps instead, for each N of a list
    #[arg(long, value_name = "N,N…", value_delimiter = ',',
        value_parser = clap::value_parser!(u32).range(1..=16_384))]
    pub(crate) maps: Vec<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct StressArgs {
    #[command(subcommand)]
    pub(crate) command: Option<StressCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StressCommand {
    /// Two CPUs create the same element at the same moment
    RaceCreate {
        /// Number of races
        #[arg(long, default_value_t = RACE_ROUNDS)]
        rounds: u64,
    },
    /// Processes die while their storage is created
    ForkReap {
        /// Number of processes
        #[arg(long, default_value_t = PROCESSES)]
        count: u64,
    },
    /// Several processes and threads run all operations
    Churn {
        /// Duration
        #[arg(long, default_value_t = CHURN_SECONDS)]
        seconds: u64,
        /// Seed of the random sequence of operations
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Four threads close thousands of sockets while their map is closed
    Sockets {
        /// Shortest duration
        #[arg(long, default_value_t = SOCKET_SECONDS)]
        seconds: u64,
        /// Sockets per thread
        #[arg(long, default_value_t = SOCKETS, value_parser = clap::value_parser!(u64).range(1..=100_000))]
        count: u64,
    },
    /// Four threads update and delete the value of one socket
    SocketChurn {
        /// Duration
        #[arg(long, default_value_t = SOCKET_SECONDS)]
        seconds: u64,
    },
    /// A listener accepts connections, which get copies of its value
    Accept {
        /// Number of connections
        #[arg(long, default_value_t = CONNECTIONS)]
        count: u64,
    },
    /// Cgroups are removed while processes leave them and sockets pin them
    Cgroups {
        /// Number of cgroups
        #[arg(long, default_value_t = CGROUPS)]
        count: u64,
    },
    /// Eight threads race for the last option memory of a socket
    Optmem {
        /// Number of races
        #[arg(long, default_value_t = OPTMEM_ROUNDS)]
        rounds: u64,
    },
    /// Owners die without a notice and new ones get their addresses; needs the test
    /// flavour
    Stale {
        /// Number of owners of each kind
        #[arg(long, default_value_t = STALE_OWNERS)]
        count: u64,
    },
}

/// Needs the test flavour, unless --no-faults is given.
#[derive(Debug, Args)]
pub(crate) struct SoakArgs {
    /// Duration
    #[arg(long, default_value_t = 60, conflicts_with = "ops")]
    pub(crate) seconds: u64,
    /// Number of operations, instead of a duration
    #[arg(long, value_name = "N")]
    pub(crate) ops: Option<u64>,
    /// Seed of the random sequences of operations
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Percentage of locks that cannot be taken
    #[arg(long, value_name = "PERCENT", default_value_t = 10, value_parser = percent())]
    pub(crate) lock_failures: u32,
    /// Percentage of allocations that fail
    #[arg(long, value_name = "PERCENT", default_value_t = 5, value_parser = percent())]
    pub(crate) alloc_failures: u32,
    /// Microseconds by which every fault site delays its caller, at most 1000
    #[arg(long, value_name = "US", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=1000))]
    pub(crate) delay_us: u32,
    /// Let nothing fail
    #[arg(long, conflicts_with_all = ["lock_failures", "alloc_failures", "delay_us"])]
    pub(crate) no_faults: bool,
}

/// Needs the test flavour.
#[derive(Debug, Args)]
pub(crate) struct BlackoutArgs {
    /// Number of owners, most of them sockets
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(crate) owners: u64,
}

/// Tables of the default size make it slow: load the module with larger ones.
#[derive(Debug, Args)]
pub(crate) struct MassExitArgs {
    /// Number of owners
    #[arg(long, default_value_t = MASS_EXIT_OWNERS,
          value_parser = clap::value_parser!(u64).range(1..=u64::from(uapi::OSTOR_MASS_EXIT_MAX)))]
    pub(crate) count: u64,
    /// Most microseconds for which interrupts may be disabled [default: 1000, if
    /// the kernel can measure it]
    #[arg(long, value_name = "US")]
    pub(crate) max_irqs_off_us: Option<u64>,
}

/// Parses a percentage.
fn percent() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(..=100)
}

#[derive(Debug, Args)]
pub(crate) struct UpstreamTestsArgs {
    /// Duration of each of the two stress tests; upstream's is 5 s
    #[arg(long, default_value_t = SOCKET_SECONDS, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) seconds: u64,
}

#[derive(Debug, Args)]
pub(crate) struct CompareGuardsArgs {
    /// Duration for each guard
    #[arg(long, default_value_t = GUARD_SECONDS, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) seconds: u64,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use ostor::text::assert_help_fits;

    use super::*;

    #[test]
    fn is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_help_page_fits() {
        // clap would break longer lines, which are laid out by hand.
        assert!(AFTER_HELP.lines().all(|line| line.len() <= COLUMNS));
        assert_help_fits(Cli::command());
    }

    #[test]
    fn parses_what_a_user_types() {
        let parse = |words: &str| {
            Cli::try_parse_from(
                [&["ostor-torture"], &*words.split(' ').collect::<Vec<_>>()].concat(),
            )
        };
        for words in [
            "recurse --json",
            "recurse --matrix",
            "contexts --context irq-work --cpus 0,2",
            "mass-exit --count 4000000",
        ] {
            parse(words).expect(words);
        }
        for words in [
            "recurse --outer update",
            "recurse --matrix --point none",
            "contexts --period-us 99",
            "mass-exit --count 4000001",
            "soak --lock-failures 101",
            "soak --alloc-failures -1",
            "soak --delay-us 1001",
            "soak --seconds 1 --ops 1",
            "soak --no-faults --lock-failures 1",
        ] {
            parse(words).expect_err(words);
        }
    }
}
