// SPDX-License-Identifier: GPL-2.0
//! The kinds of objects that values are attached to.

use std::fmt::{self, Display};

use serde::Serialize;
use uapi::ostor_stats;

/// The kind of an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
#[repr(u32)]
pub enum Kind {
    /// A task: a thread, or a process as its first thread.
    Task = uapi::OSTOR_KIND_TASK,
    /// A control group, v1 or v2.
    Cgroup = uapi::OSTOR_KIND_CGROUP,
    /// A socket of any family.
    Socket = uapi::OSTOR_KIND_SOCKET,
    /// A network namespace.
    Netns = uapi::OSTOR_KIND_NETNS,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Task, Self::Cgroup, Self::Socket, Self::Netns];

    /// The device's number of the kind.
    pub fn to_uapi(self) -> u32 {
        self as u32
    }

    /// The kind of a number that the device returned.
    pub fn from_uapi(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.to_uapi() == number)
    }

    /// The kind's bit in a set of kinds.
    pub fn bit(self) -> u32 {
        1 << self.to_uapi()
    }

    /// The kinds in a set.
    pub fn in_set(set: u32) -> impl Iterator<Item = Self> {
        Self::ALL
            .into_iter()
            .filter(move |kind| set & kind.bit() != 0)
    }

    /// Whether the running kernel reports the end of such owners, without which they
    /// can have no values.
    pub fn is_served(self, stats: &ostor_stats) -> bool {
        stats.kinds & self.bit() != 0
    }

    /// The name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Cgroup => "cgroup",
            Self::Socket => "socket",
            Self::Netns => "netns",
        }
    }

    /// The name of several.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Task => "tasks",
            Self::Cgroup => "cgroups",
            Self::Socket => "sockets",
            Self::Netns => "network namespaces",
        }
    }

    /// Why such owners can have no values, if the kind is not served.
    pub fn why_not_served(self) -> String {
        format!("this kernel does not report the end of {}", self.plural())
    }
}

impl Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_device() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_uapi(kind.to_uapi()), Some(kind));
        }
        assert_eq!(Kind::from_uapi(0), None);
        assert_eq!(Kind::from_uapi(5), None);
    }

    #[test]
    fn a_set_has_its_kinds() {
        let set = Kind::Task.bit() | Kind::Socket.bit() | (1 << 30);
        assert!(Kind::in_set(set).eq([Kind::Task, Kind::Socket]));
        let stats = ostor_stats {
            kinds: set,
            ..ostor_stats::default()
        };
        assert!(Kind::Socket.is_served(&stats) && !Kind::Netns.is_served(&stats));
    }
}
