// SPDX-License-Identifier: GPL-2.0
//! The command line of `ostor`.

use clap::{Args, Parser, Subcommand, ValueEnum};
use ostor::device::Kind;
use ostor::text::COLUMNS;

use crate::owner_name::OwnerName;

const AFTER_HELP: &str = "\
Owners:
  self             this process
  pid:N            the process N
  tid:N            the thread N
  pidfd:N          the pidfd inherited as descriptor N
  cgroup:PATH      the cgroup v1 or v2 with this directory; a relative PATH is
                   below /sys/fs/cgroup
  cgroup-id:N      the cgroup v2 with this id, as `stat -c %i` prints it
  cgroup-fd:N      the cgroup whose directory is inherited as descriptor N
  socket:PID/FD    the socket that is descriptor FD of process PID
  socket:self/FD   the socket inherited as descriptor FD
  netns:PID        the network namespace of process PID
  netns:PATH       the network namespace of this file, such as /run/netns/NAME

Values:
  Text, or bytes as hex:00ff2a. A shorter value is filled with zero bytes.
  `ostor list` breaks long values to fit the terminal, or 80 columns without
  one. `ostor get` and --json print them whole.

A map lives as long as a descriptor refers to it. `ostor map create` starts a
process in the background that holds one, until `ostor map rm`.

Example:
  ostor map create colours --value-size 16
  ostor set --map colours pid:1 green
  ostor list --map colours
  ostor list --owner pid:1
  ostor map rm colours

Exit status:
  0  success                        4  the device refused; its errno is shown
  1  a check failed                 5  there is no map of that name
  2  wrong usage                    6  another system call failed, or standard
  3  no device: module not loaded,     output cannot be written
     or not root";

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
    /// List the values in a map, or those of an owner
    List(ListArgs),
    /// Print the module's statistics
    Stats,
    /// Print statistics or a list again and again
    Watch(WatchArgs),
    /// Show what the module does, on real processes, cgroups, sockets and network
    /// namespaces, and unload it
    Demo(DemoArgs),
    /// Hold a map: what `map create` starts
    #[command(hide = true)]
    Hold(HoldArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum MapCommand {
    /// Create a map
    Create {
        /// Name of the map
        name: String,
        /// Bytes per value, 1 to 8064
        #[arg(long, value_name = "BYTES", value_parser = value_size)]
        value_size: u32,
        /// Copy the value of a listening TCP socket to each socket that it accepts
        #[arg(long)]
        clone: bool,
    },
    /// Remove maps, with all their values
    Rm {
        /// Names of the maps
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// List the maps that have a holder
    Ls {
        /// List all open maps, also those that another program has created
        #[arg(long)]
        all: bool,
    },
    /// Print a map's sizes and counts
    Info {
        /// Name of the map
        name: String,
    },
}

/// A map by name.
#[derive(Debug, Args)]
pub(crate) struct MapName {
    /// Name of the map
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
    /// Create the value if the owner has none
    #[arg(long, value_name = "VALUE")]
    pub(crate) create: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct SetArgs {
    #[command(flatten)]
    pub(crate) target: Target,
    /// The value: text, or bytes as hex:00ff2a
    pub(crate) value: String,
    /// Fail if the owner has a value
    #[arg(long, conflicts_with = "exist")]
    pub(crate) noexist: bool,
    /// Fail if the owner has no value
    #[arg(long)]
    pub(crate) exist: bool,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true))]
pub(crate) struct ListArgs {
    /// List the values in this map
    #[arg(
        short = 'm',
        long = "map",
        value_name = "NAME",
        env = "OSTOR_MAP",
        group = "what"
    )]
    pub(crate) map: Option<String>,
    /// List the values of this owner in all maps
    #[arg(long, group = "what")]
    pub(crate) owner: Option<OwnerName>,
    /// Only owners of this kind; may be given more than once
    #[arg(long, conflicts_with = "owner")]
    pub(crate) kind: Vec<Kind>,
    /// Only rows whose owner, name or value contains this text
    #[arg(long, value_name = "TEXT", conflicts_with = "owner")]
    pub(crate) contains: Option<String>,
    /// Sort the rows
    #[arg(long, value_name = "COLUMN", conflicts_with = "owner")]
    pub(crate) sort: Option<SortKey>,
    /// Print the rows in reverse order
    #[arg(long, conflicts_with = "owner")]
    pub(crate) reverse: bool,
    /// Print at most N rows
    #[arg(long, value_name = "N", conflicts_with = "owner")]
    pub(crate) limit: Option<usize>,
}

/// A column to sort by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SortKey {
    /// Kind and id of the owner
    Owner,
    /// Name of the owner
    Name,
    /// Order of creation
    Seq,
    /// Bytes of the value
    Value,
}

#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// Seconds from one time to the next
    #[arg(long, short = 'n', global = true, value_name = "SECONDS", default_value_t = 2,
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) interval: u64,
    /// End after this many times
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    #[command(subcommand)]
    pub(crate) command: WatchCommand,
}

/// With --json each time is one line.
#[derive(Debug, Subcommand)]
pub(crate) enum WatchCommand {
    /// The module's statistics, with their change per second
    Stats,
    /// A map's sizes and counts, with their change per second
    Map {
        /// Name of the map
        name: String,
    },
    /// The list of maps
    Maps {
        /// List all open maps, also those that another program has created
        #[arg(long)]
        all: bool,
    },
    /// The values in a map, or those of an owner
    List(ListArgs),
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Number of processes
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(20..=10_000))]
    pub(crate) processes: u32,
    /// Leave the module loaded
    #[arg(long)]
    pub(crate) keep_module: bool,
}

#[derive(Debug, Args)]
pub(crate) struct HoldArgs {
    /// Name of the map
    pub(crate) name: String,
}

/// Parses the size of a value.
fn value_size(text: &str) -> Result<u32, String> {
    let most = uapi::OSTOR_VALUE_SIZE_MAX;
    let size = text.parse().ok().filter(|size| (1..=most).contains(size));
    size.ok_or_else(|| format!("a value has 1 to {most} bytes"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use ostor::text::assert_help_fits;

    use super::*;

    fn parse(words: &str) -> Result<Cli, clap::Error> {
        let words: Vec<_> = words.split(' ').collect();
        Cli::try_parse_from([&["ostor"], &*words].concat())
    }

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
        for words in [
            "set -m m pid:7 x --noexist",
            "stats --json",
            "list --owner socket:1/2",
            "list -m m",
            "map create m --value-size 8064",
            "map ls --all",
            "watch maps --all",
            "watch stats -n 5",
            "watch list -m m --sort value --limit 5",
        ] {
            parse(words).expect(words);
        }
        for words in [
            "set -m m self x --noexist --exist",
            "get -m m 7",
            "recurse",
            "list --owner self --sort seq",
            "watch",
            "watch stats --interval 0",
        ] {
            parse(words).expect_err(words);
        }
    }

    #[test]
    fn the_size_of_a_value_is_named() {
        for size in ["0", "8065", "-1", "x"] {
            let error = parse(&format!("map create m --value-size={size}")).unwrap_err();
            let text = error.to_string();
            assert!(text.contains("a value has 1 to 8064 bytes"), "{text}");
        }
    }

    #[test]
    fn a_list_is_of_a_map_or_of_an_owner() {
        let text = parse("list").unwrap_err().to_string();
        assert!(text.contains("--map <NAME>|--owner <OWNER>"), "{text}");
        parse("list -m m --owner self").unwrap();
    }
}
