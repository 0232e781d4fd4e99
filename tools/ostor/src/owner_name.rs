// SPDX-License-Identifier: GPL-2.0
//! Owners as the command line names them.

use std::fmt::{self, Display};
use std::path::PathBuf;
use std::str::FromStr;

use ostor::device::Kind;

/// The ways to name an owner.
pub(crate) const HOW: &str = "self, pid:N, tid:N, pidfd:N, cgroup:PATH, cgroup-id:N, cgroup-fd:N, \
                              socket:PID/FD, socket:self/FD, netns:PATH or netns:PID";

/// The name of an owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OwnerName {
    /// This process.
    Current,
    /// The process with this id.
    Pid(i32),
    /// The thread with this id.
    Tid(i32),
    /// The pidfd that was inherited as this descriptor.
    Pidfd(i32),
    /// The cgroup with this directory. A relative path begins at the mount of cgroup v2.
    CgroupPath(PathBuf),
    /// The cgroup v2 with this id.
    CgroupId(u64),
    /// The cgroup whose directory was inherited as this descriptor.
    CgroupFd(i32),
    /// The socket that is a descriptor of a process, or an inherited one.
    Socket { pid: Option<i32>, fd: i32 },
    /// The network namespace of this file.
    NetnsPath(PathBuf),
    /// The network namespace of this process.
    NetnsPid(i32),
}

/// The name as the command line has it.
impl Display for OwnerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Current => f.write_str("self"),
            Self::Pid(pid) => write!(f, "pid:{pid}"),
            Self::Tid(tid) => write!(f, "tid:{tid}"),
            Self::Pidfd(fd) => write!(f, "pidfd:{fd}"),
            Self::CgroupPath(path) => write!(f, "cgroup:{}", path.display()),
            Self::CgroupId(id) => write!(f, "cgroup-id:{id}"),
            Self::CgroupFd(fd) => write!(f, "cgroup-fd:{fd}"),
            Self::Socket { pid: None, fd } => write!(f, "socket:self/{fd}"),
            Self::Socket { pid: Some(pid), fd } => write!(f, "socket:{pid}/{fd}"),
            Self::NetnsPath(path) => write!(f, "netns:{}", path.display()),
            Self::NetnsPid(pid) => write!(f, "netns:{pid}"),
        }
    }
}

impl FromStr for OwnerName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "self" {
            return Ok(Self::Current);
        }
        let (kind, name) = text.split_once(':').ok_or_else(|| format!("write {HOW}"))?;
        match kind {
            "pid" => process(name).map(Self::Pid),
            "tid" => process(name).map(Self::Tid),
            "pidfd" => descriptor(name).map(Self::Pidfd),
            "cgroup" => path(name).map(Self::CgroupPath),
            "cgroup-id" => match name.parse() {
                Ok(id) if id > 0 => Ok(Self::CgroupId(id)),
                _ => Err(format!(
                    "{name:?} is not the id of a cgroup; `stat -c %i DIRECTORY` prints it"
                )),
            },
            "cgroup-fd" => descriptor(name).map(Self::CgroupFd),
            "socket" => socket(name),
            "netns" if name.starts_with(|c: char| c.is_ascii_digit()) => {
                process(name).map(Self::NetnsPid)
            }
            "netns" => path(name).map(Self::NetnsPath),
            _ => Err(format!("{kind:?} is not a kind of owner; write {HOW}")),
        }
    }
}

/// The name of an owner in a listing. Another command can use it, except for sockets and
/// network namespaces: these cannot be found by their cookie.
pub(crate) fn written(kind: u32, id: u64) -> String {
    match Kind::from_uapi(kind) {
        Some(Kind::Task) => format!("tid:{id}"),
        Some(Kind::Cgroup) => format!("cgroup-id:{id}"),
        Some(Kind::Socket | Kind::Netns) => format!("cookie {id}"),
        None => format!("number {id}"),
    }
}

fn process(number: &str) -> Result<i32, String> {
    match number.parse() {
        Ok(pid) if pid > 0 => Ok(pid),
        _ => Err(format!(
            "{number:?} is not the id of a process; ids begin at 1"
        )),
    }
}

fn descriptor(number: &str) -> Result<i32, String> {
    match number.parse() {
        Ok(fd) if fd >= 0 => Ok(fd),
        _ => Err(format!("{number:?} is not the number of a descriptor")),
    }
}

fn path(name: &str) -> Result<PathBuf, String> {
    if name.is_empty() {
        return Err("a path is missing after the colon".to_owned());
    }
    Ok(name.into())
}

/// `PID/FD` or `self/FD`.
fn socket(name: &str) -> Result<OwnerName, String> {
    let (pid, fd) = name.split_once('/').ok_or_else(|| {
        format!("write socket:PID/FD, not {name:?}; `ls -l /proc/PID/fd` shows a process's sockets")
    })?;
    let pid = match pid {
        "self" => None,
        pid => Some(process(pid)?),
    };
    let fd = descriptor(fd)?;
    Ok(OwnerName::Socket { pid, fd })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_and_writes_every_name() {
        let socket = |pid, fd| OwnerName::Socket { pid, fd };
        for (text, name) in [
            ("self", OwnerName::Current),
            ("pid:12", OwnerName::Pid(12)),
            ("tid:13", OwnerName::Tid(13)),
            ("pidfd:0", OwnerName::Pidfd(0)),
            ("cgroup:a/b", OwnerName::CgroupPath("a/b".into())),
            ("cgroup:/c:d", OwnerName::CgroupPath("/c:d".into())),
            ("cgroup-id:77", OwnerName::CgroupId(77)),
            ("cgroup-fd:3", OwnerName::CgroupFd(3)),
            ("socket:12/3", socket(Some(12), 3)),
            ("socket:self/0", socket(None, 0)),
            ("netns:12", OwnerName::NetnsPid(12)),
            (
                "netns:/run/netns/x",
                OwnerName::NetnsPath("/run/netns/x".into()),
            ),
        ] {
            assert_eq!(name.to_string(), text);
            assert_eq!(text.parse(), Ok(name));
        }
    }

    #[test]
    fn refuses_everything_else() {
        for text in [
            "",
            "12",
            "pid:",
            "pid:0",
            "tid:0",
            "pid:-1",
            "pid:x",
            "SELF",
            "pidfd:-1",
            "cgroup:",
            "cgroup-id:0",
            "cgroup-id:x",
            "cgroup-fd:-1",
            "socket:3",
            "socket:0/3",
            "socket:1/-3",
            "socket:1/",
            "socket:/3",
            "netns:",
            "netns:0",
            "netns:1x",
            "inode:3",
        ] {
            assert!(text.parse::<OwnerName>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_name_in_a_listing_can_be_parsed() {
        for kind in [Kind::Task, Kind::Cgroup] {
            assert!(written(kind.to_uapi(), 7).parse::<OwnerName>().is_ok());
        }
        assert_eq!(written(Kind::Socket.to_uapi(), 7), "cookie 7");
        assert_eq!(written(99, 7), "number 7");
    }
}
