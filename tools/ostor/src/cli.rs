// SPDX-License-Identifier: GPL-2.0
//! The command line.

use clap::{Args, Parser, Subcommand};
use ostor::device::{Context, Kind, OpKind, Point};
use ostor::text::COLUMNS;

use crate::owner_name::OwnerName;

const AFTER_HELP: &str = "\
Owners:
  self             this very command
  pid:N            the process N
  tid:N            the thread N
  pidfd:N          the pidfd inherited as descriptor N
  cgroup:PATH      the cgroup v1 or v2 with this directory; from /sys/fs/cgroup,
                   unless PATH is absolute
  cgroup-id:N      the cgroup v2 with this id, as `stat -c %i` prints it
  cgroup-fd:N      the cgroup whose directory is inherited as descriptor N
  socket:PID/FD    the socket that is descriptor FD of process PID
  socket:self/FD   the socket inherited as descriptor FD
  netns:PID        the network namespace of process PID
  netns:PATH       the one of this file, such as /run/netns/NAME

Values:
  Text, or bytes as hex:00ff2a. Shorter ones are filled up with zero bytes.
  `ostor list` breaks long ones to fit the terminal, or 80 columns if there is
  none; `ostor get` and --json print them whole.

A map lives as long as a descriptor of it. `ostor map create` starts a process
in the background that holds one, until `ostor map rm`.

Example:
  ostor map create colours --value-size 16
  ostor set --map colours pid:1 green
  ostor list --map colours
  ostor list --owner pid:1
  ostor map rm colours

Exit status:
  0  done                            4  the device refused; its errno is shown
  1  a check failed                  5  no map of that name
  2  wrong usage                     6  the system failed otherwise
  3  no device: module not loaded, or not root";

/// How often `ostor stress race-create` races, unless told.
pub(crate) const RACE_ROUNDS: u64 = 100_000;

/// How many processes `ostor stress fork-reap` starts, unless told.
pub(crate) const PROCESSES: u64 = 20_000;

/// How long `ostor stress churn` churns, unless told.
pub(crate) const CHURN_SECONDS: u64 = 30;

/// How long `ostor stress sockets` and `socket-churn` go on, unless told.
pub(crate) const SOCKET_SECONDS: u64 = 5;

/// How many sockets each thread of `ostor stress sockets` has, unless told.
pub(crate) const SOCKETS: u64 = 4096;

/// How many connections `ostor stress accept` accepts, unless told.
pub(crate) const CONNECTIONS: u64 = 10_000;

/// How many cgroups `ostor stress cgroups` makes, unless told.
pub(crate) const CGROUPS: u64 = 2000;

/// How often `ostor stress optmem` fills a socket's option memory, unless told.
pub(crate) const OPTMEM_ROUNDS: u64 = 20;

/// How many owners `ostor crowd` has, unless told.
pub(crate) const CROWD: u64 = 100_000;

/// How many owners of each kind `ostor stress stale` lets die, unless told.
pub(crate) const STALE: u64 = 500;

/// How long `ostor compare-guards` tries each guard, unless told.
const GUARD_SECONDS: u64 = 5;

/// Attach values to tasks, cgroups, sockets and network namespaces, through
/// /dev/owner_storage.
#[derive(Debug, Parser)]
#[command(
    name = "ostor",
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
    /// Create, list, describe and remove maps
    #[command(subcommand)]
    Map(MapCommand),
    /// Print an owner's value
    Get(GetArgs),
    /// Store an owner's value
    Set(SetArgs),
    /// Delete an owner's value
    Delete(Target),
    /// Delete an owner's value and print it
    Take(Target),
    /// List a map's values, or an owner's
    List(ListArgs),
    /// Print the module's statistics
    Stats,
    /// Run one operation inside another, and show what both return
    Recurse(RecurseArgs),
    /// Run operations in interrupts, NMIs, probes and inside the allocator, over
    /// a thread that runs the same ones
    Contexts(ContextsArgs),
    /// Make lock cycles of two and three CPUs, and a holder that stalls, and
    /// measure how long it takes until they end in an error
    Cycles(CyclesArgs),
    /// Measure what the operations cost
    Bench(BenchArgs),
    /// Show all of it on real processes, then unload the module
    Demo(DemoArgs),
    /// Put the module under stress; without a subcommand, in every way but
    /// `stale`
    Stress(StressArgs),
    /// End a map with very many elements while their owners die; for the test
    /// flavour of the module only
    Crowd(CrowdArgs),
    /// Have owners live and die and maps closed while locks and allocations fail;
    /// for the test flavour of the module only
    Torture(TortureArgs),
    /// Have owners die and a map closed while no lock can be had; for the test
    /// flavour of the module only
    Blackout(BlackoutArgs),
    /// Run the selftests of BPF local storage on this module, beside what
    /// upstream expects
    UpstreamTests(UpstreamTestsArgs),
    /// Count spurious failures with the counter per CPU that BPF storage had and
    /// with rqspinlock; for the test flavour of the module only
    CompareGuards(CompareGuardsArgs),
    /// Hold a map: what `map create` starts
    #[command(hide = true)]
    Hold(HoldArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum MapCommand {
    /// Create a map
    Create {
        /// What to call it
        name: String,
        /// Bytes per value
        #[arg(long, value_name = "BYTES")]
        value_size: u32,
        /// Copy a listening TCP socket's value to the sockets of the
        /// connections it accepts
        #[arg(long)]
        clone: bool,
    },
    /// Remove maps, with all their values
    Rm {
        /// Which
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// List the maps
    Ls,
    /// Print a map's figures
    Info {
        /// Which
        name: String,
    },
}

/// A map by name.
#[derive(Debug, Args)]
pub(crate) struct MapName {
    /// The map
    #[arg(short = 'm', long = "map", value_name = "NAME", env = "OSTOR_MAP")]
    pub(crate) name: String,
}

/// An owner in a map.
#[derive(Debug, Args)]
pub(crate) struct Target {
    #[command(flatten)]
    pub(crate) map: MapName,
    /// The owner, such as pid:N, cgroup:PATH or socket:PID/FD; see `ostor --help`
    pub(crate) owner: OwnerName,
}

#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Create it from this value if there is none
    #[arg(long, value_name = "VALUE")]
    pub(crate) create: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct SetArgs {
    #[command(flatten)]
    pub(crate) target: Target,
    /// The value
    pub(crate) value: String,
    /// Only if there is none yet
    #[arg(long, conflicts_with = "exist")]
    pub(crate) noexist: bool,
    /// Only if there is one already
    #[arg(long)]
    pub(crate) exist: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// The map
    #[arg(
        short = 'm',
        long = "map",
        value_name = "NAME",
        env = "OSTOR_MAP",
        required_unless_present = "owner"
    )]
    pub(crate) map: Option<String>,
    /// The values of this owner in all maps, instead of those in a map
    #[arg(long)]
    pub(crate) owner: Option<OwnerName>,
}

/// Without options: every lock, operation and owner, as a table.
#[derive(Debug, Args)]
pub(crate) struct RecurseArgs {
    /// Every case there is, checked against the table in
    /// Documentation/matrix.rst
    #[arg(long, conflicts_with = "point")]
    pub(crate) matrix: bool,
    /// The context of the inner operation; the probe itself is a task's
    #[arg(long, requires = "point", default_value = "task")]
    pub(crate) context: Context,
    /// Where the inner operation runs
    #[arg(long, requires_all = ["outer", "inner"])]
    pub(crate) point: Option<Point>,
    /// The outer operation
    #[arg(long, requires = "point")]
    pub(crate) outer: Option<OpKind>,
    /// The inner operation
    #[arg(long, requires = "point")]
    pub(crate) inner: Option<OpKind>,
    /// The outer operation finds an element
    #[arg(long, requires = "point")]
    pub(crate) outer_exists: bool,
    /// The inner operation finds an element
    #[arg(long, requires = "point")]
    pub(crate) inner_exists: bool,
    /// The inner operation is on another owner
    #[arg(long, requires = "point")]
    pub(crate) other_owner: bool,
    /// The inner operation is in another map
    #[arg(long, requires = "point")]
    pub(crate) other_map: bool,
}

/// Without options: every context, every kind of owners, on all CPUs at once.
#[derive(Debug, Args)]
pub(crate) struct ContextsArgs {
    /// In this context only; may be given more than once
    #[arg(long)]
    pub(crate) context: Vec<Context>,
    /// On this kind of owners only; may be given more than once
    #[arg(long)]
    pub(crate) owner: Vec<Kind>,
    /// This operation only; several, in the order given, are one batch
    #[arg(long)]
    pub(crate) op: Vec<OpKind>,
    /// On these CPUs only, such as 0,2
    #[arg(long, value_delimiter = ',')]
    pub(crate) cpus: Vec<usize>,
    /// How long for each context and kind of owners
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) seconds: u64,
    /// Microseconds from batch to batch
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    pub(crate) period_us: u32,
    /// Without a thread below
    #[arg(long)]
    pub(crate) alone: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CyclesArgs {
    /// How often each
    #[arg(long, default_value_t = 100)]
    pub(crate) runs: usize,
    /// How many milliseconds after its time-out a lock may notice that it has
    /// passed: it looks at the clock once in 65,536 turns of its loop, which is
    /// about a millisecond on a real processor, and a few hundred in an emulator
    #[arg(long, value_name = "MS", default_value_t = 500, value_parser = clap::value_parser!(u64).range(..=60_000))]
    pub(crate) slack_ms: u64,
}

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// Run each 8 times, not 500
    #[arg(long)]
    pub(crate) quick: bool,
    /// Measure owners that have values in N maps instead, for each N of a list
    #[arg(long, value_name = "N,N…", value_delimiter = ',',
        value_parser = clap::value_parser!(u32).range(1..=16_384))]
    pub(crate) maps: Vec<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// How many processes
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(20..=10_000))]
    pub(crate) processes: u32,
    /// Leave the module loaded
    #[arg(long)]
    pub(crate) keep_module: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StressArgs {
    #[command(subcommand)]
    pub(crate) command: Option<StressCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StressCommand {
    /// Two CPUs create the same element at once, again and again
    RaceCreate {
        /// How often
        #[arg(long, default_value_t = RACE_ROUNDS)]
        rounds: u64,
    },
    /// Processes die while their storage is created
    ForkReap {
        /// How many
        #[arg(long, default_value_t = PROCESSES)]
        count: u64,
    },
    /// Everything at once, from several processes and threads
    Churn {
        /// How long
        #[arg(long, default_value_t = CHURN_SECONDS)]
        seconds: u64,
        /// What the sequence of operations starts from
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Four threads close thousands of sockets while their map is closed
    Sockets {
        /// How long, at the least
        #[arg(long, default_value_t = SOCKET_SECONDS)]
        seconds: u64,
        /// How many sockets each thread has
        #[arg(long, default_value_t = SOCKETS, value_parser = clap::value_parser!(u64).range(1..=100_000))]
        count: u64,
    },
    /// Four threads update and delete one socket's value
    SocketChurn {
        /// How long
        #[arg(long, default_value_t = SOCKET_SECONDS)]
        seconds: u64,
    },
    /// A listener accepts connections, which get copies of its value
    Accept {
        /// How many
        #[arg(long, default_value_t = CONNECTIONS)]
        count: u64,
    },
    /// Cgroups are removed while processes leave them and sockets pin them
    Cgroups {
        /// How many
        #[arg(long, default_value_t = CGROUPS)]
        count: u64,
    },
    /// Eight threads race for the last of a socket's option memory
    Optmem {
        /// How often
        #[arg(long, default_value_t = OPTMEM_ROUNDS)]
        rounds: u64,
    },
    /// Owners die unnoticed and others take their addresses; for the test
    /// flavour of the module only
    Stale {
        /// How many of each kind
        #[arg(long, default_value_t = STALE)]
        count: u64,
    },
}

#[derive(Debug, Args)]
pub(crate) struct CrowdArgs {
    /// How many owners
    #[arg(long, default_value_t = CROWD,
          value_parser = clap::value_parser!(u64).range(1..=u64::from(uapi::OSTOR_CROWD_MAX)))]
    pub(crate) count: u64,
    /// The most microseconds for which interrupts may be off [default: 1000,
    /// where the kernel can measure it]
    #[arg(long, value_name = "US")]
    pub(crate) max_irqs_off_us: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct TortureArgs {
    /// How long
    #[arg(long, default_value_t = 60, conflicts_with = "ops")]
    pub(crate) seconds: u64,
    /// How many operations, instead
    #[arg(long, value_name = "N")]
    pub(crate) ops: Option<u64>,
    /// What the sequences of operations start from
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// How many of a hundred locks cannot be had
    #[arg(long, value_name = "PERCENT", default_value_t = 10, value_parser = percent())]
    pub(crate) lock_failures: u32,
    /// How many of a hundred allocations fail
    #[arg(long, value_name = "PERCENT", default_value_t = 5, value_parser = percent())]
    pub(crate) alloc_failures: u32,
    /// Microseconds that everyone spends at every point that could fail, 1000 at
    /// most
    #[arg(long, value_name = "US", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=1000))]
    pub(crate) delay_us: u32,
    /// Make nothing fail: for any flavour of the module
    #[arg(long, conflicts_with_all = ["lock_failures", "alloc_failures", "delay_us"])]
    pub(crate) no_faults: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BlackoutArgs {
    /// How many owners, most of them sockets
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(crate) owners: u64,
}

/// Parses a number of a hundred.
fn percent() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(..=100)
}

#[derive(Debug, Args)]
pub(crate) struct UpstreamTestsArgs {
    /// How long the two stress tests go on; upstream's do for 5 s
    #[arg(long, default_value_t = SOCKET_SECONDS, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) seconds: u64,
}

#[derive(Debug, Args)]
pub(crate) struct CompareGuardsArgs {
    /// How long each guard is tried
    #[arg(long, default_value_t = GUARD_SECONDS, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) seconds: u64,
}

#[derive(Debug, Args)]
pub(crate) struct HoldArgs {
    /// The map's name
    pub(crate) name: String,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_help_page_fits() {
        // What clap would break here is laid out by hand.
        assert!(AFTER_HELP.lines().all(|line| line.len() <= COLUMNS));
        let mut left = vec![Cli::command()];
        left[0].build();
        while let Some(mut command) = left.pop() {
            for page in [command.render_help(), command.render_long_help()] {
                for line in page.to_string().lines() {
                    assert!(line.chars().count() <= COLUMNS, "{line}");
                }
            }
            left.extend(command.get_subcommands().cloned());
        }
    }

    #[test]
    fn understands_what_a_person_types() {
        Cli::try_parse_from(["ostor", "set", "-m", "m", "pid:7", "x", "--noexist"]).unwrap();
        Cli::try_parse_from(["ostor", "recurse", "--json"]).unwrap();
        Cli::try_parse_from(["ostor", "list", "--owner", "socket:1/2"]).unwrap();
        Cli::try_parse_from(["ostor", "list"]).unwrap_err();
        Cli::try_parse_from([
            "ostor",
            "set",
            "-m",
            "m",
            "self",
            "x",
            "--noexist",
            "--exist",
        ])
        .unwrap_err();
        Cli::try_parse_from(["ostor", "recurse", "--outer", "update"]).unwrap_err();
        Cli::try_parse_from(["ostor", "recurse", "--matrix"]).unwrap();
        Cli::try_parse_from(["ostor", "recurse", "--matrix", "--point", "none"]).unwrap_err();
        Cli::try_parse_from([
            "ostor",
            "contexts",
            "--context",
            "irq-work",
            "--cpus",
            "0,2",
        ])
        .unwrap();
        Cli::try_parse_from(["ostor", "contexts", "--period-us", "99"]).unwrap_err();
        Cli::try_parse_from(["ostor", "get", "-m", "m", "7"]).unwrap_err();
    }

    #[test]
    fn refuses_a_torture_that_makes_no_sense() {
        for words in [
            ["--lock-failures", "101"].as_slice(),
            &["--alloc-failures", "-1"],
            &["--delay-us", "1001"],
            &["--seconds", "1", "--ops", "1"],
            &["--no-faults", "--lock-failures", "1"],
        ] {
            let words = [&["ostor", "torture"], words].concat();
            Cli::try_parse_from(&words).expect_err(&words.join(" "));
        }
    }
}
