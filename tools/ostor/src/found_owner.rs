// SPDX-License-Identifier: GPL-2.0
//! Finding the owner that a name refers to.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use nix::errno::Errno;
use nix::sys::statfs::{CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, FsType, NSFS_MAGIC, fstatfs};
use nix::unistd::Pid;
use ostor::cgroup;
use ostor::device::Owner;
use ostor::sys::process::{self, Names};

use crate::owner_name::OwnerName;

/// An owner that was found.
#[derive(Debug)]
pub(crate) enum FoundOwner {
    Current,
    Task(OwnedFd),
    Cgroup(OwnedFd),
    CgroupId(u64),
    Socket(OwnedFd),
    Netns(OwnedFd),
}

impl OwnerName {
    /// Finds the owner.
    pub(crate) fn find(&self) -> Result<FoundOwner> {
        let found = match self {
            Self::Current => Ok(FoundOwner::Current),
            Self::Pid(pid) => process(*pid).map(FoundOwner::Task),
            Self::Tid(tid) => thread(*tid).map(FoundOwner::Task),
            Self::Pidfd(fd) => inherited(*fd).map(FoundOwner::Task),
            Self::CgroupPath(path) => cgroup(path).map(FoundOwner::Cgroup),
            Self::CgroupId(id) => Ok(FoundOwner::CgroupId(*id)),
            Self::CgroupFd(fd) => inherited(*fd).map(FoundOwner::Cgroup),
            Self::Socket { pid: None, fd } => inherited(*fd).map(FoundOwner::Socket),
            Self::Socket { pid: Some(pid), fd } => socket(*pid, *fd).map(FoundOwner::Socket),
            Self::NetnsPath(path) => netns(path).map(FoundOwner::Netns),
            Self::NetnsPid(pid) => {
                netns(format!("/proc/{pid}/ns/net").as_ref()).map(FoundOwner::Netns)
            }
        };
        found.with_context(|| format!("cannot find {self}"))
    }
}

impl FoundOwner {
    /// The owner as the device takes it.
    pub(crate) fn owner(&self) -> Owner<'_> {
        match self {
            Self::Current => Owner::Current,
            Self::Task(pidfd) => Owner::task(pidfd),
            Self::Cgroup(directory) => Owner::cgroup(directory),
            Self::CgroupId(id) => Owner::CgroupId(*id),
            Self::Socket(socket) => Owner::socket(socket),
            Self::Netns(file) => Owner::netns(file),
        }
    }
}

fn process(pid: i32) -> Result<OwnedFd> {
    process::pidfd_open(Pid::from_raw(pid), Names::Process).map_err(|errno| match errno {
        Errno::ESRCH => anyhow!("there is no such process"),
        Errno::EINVAL | Errno::ENOENT => anyhow!("it is a thread, not a process; write tid:N"),
        errno => errno.into(),
    })
}

fn thread(tid: i32) -> Result<OwnedFd> {
    process::pidfd_open(Pid::from_raw(tid), Names::Thread).map_err(|errno| match errno {
        Errno::ESRCH => anyhow!("there is no such thread"),
        errno => errno.into(),
    })
}

fn inherited(fd: i32) -> Result<OwnedFd> {
    process::inherited(fd).map_err(|errno| match errno {
        Errno::EBADF => {
            anyhow!("descriptor {fd} is not open; let the shell open it with {fd}<FILE")
        }
        errno => errno.into(),
    })
}

/// A cgroup's directory. A relative path begins at the mount of cgroup v2.
fn cgroup(path: &Path) -> Result<OwnedFd> {
    let path = Path::new(cgroup::MOUNT).join(path);
    let directory = cgroup::open_directory(&path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => anyhow!(
            "there is no {}; `ls {}` shows the cgroups",
            path.display(),
            cgroup::MOUNT
        ),
        _ => anyhow!("cannot open {}: {error}", path.display()),
    })?;
    if !is_of(&directory, &[CGROUP2_SUPER_MAGIC, CGROUP_SUPER_MAGIC])? {
        bail!(
            "{} is not in a cgroup hierarchy; `mount -t cgroup2,cgroup` shows where they are",
            path.display()
        );
    }
    Ok(directory)
}

/// A descriptor of another process.
fn socket(pid: i32, fd: i32) -> Result<OwnedFd> {
    let process = process(pid)?;
    process::pidfd_getfd(&process, fd).map_err(|errno| match errno {
        Errno::EBADF => {
            anyhow!("process {pid} has no descriptor {fd}; `ls -l /proc/{pid}/fd` shows them")
        }
        Errno::EPERM => {
            anyhow!("this process may not trace process {pid}; it needs CAP_SYS_PTRACE")
        }
        Errno::ESRCH => anyhow!("process {pid} has ended"),
        errno => errno.into(),
    })
}

fn netns(path: &Path) -> Result<OwnedFd> {
    let file = File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => anyhow!(
            "there is no {}; write netns:PID of a process, or the path of a namespace's file",
            path.display()
        ),
        _ => anyhow!("cannot open {}: {error}", path.display()),
    })?;
    if !is_of(&file, &[NSFS_MAGIC])? {
        bail!(
            "{} is not a namespace; write netns:PID or /proc/PID/ns/net",
            path.display()
        );
    }
    Ok(file.into())
}

/// Whether a file is in a file system of one of these types.
fn is_of(file: &impl AsFd, kinds: &[FsType]) -> Result<bool> {
    Ok(kinds.contains(&fstatfs(file)?.filesystem_type()))
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsRawFd;

    use super::*;

    fn find(text: &str) -> Result<FoundOwner> {
        text.parse::<OwnerName>().unwrap().find()
    }

    /// The error for a name that refers to no owner.
    fn error_of(text: &str) -> String {
        format!("{:#}", find(text).unwrap_err())
    }

    #[test]
    fn finds_this_process() {
        let pid = std::process::id();
        assert!(matches!(
            find(&format!("pid:{pid}")),
            Ok(FoundOwner::Task(_))
        ));
        assert!(matches!(find("self"), Ok(FoundOwner::Current)));
        assert!(error_of("pid:2147483647").contains("no such process"));
        assert!(error_of("tid:2147483647").contains("no such thread"));
        assert!(error_of("pidfd:1000000").contains("is not open"));
    }

    #[test]
    fn an_error_names_the_owner_as_the_command_line_does() {
        let text = error_of("pid:2147483647");
        assert_eq!(text, "cannot find pid:2147483647: there is no such process");
        let text = error_of("cgroup:no/such");
        assert!(text.starts_with("cannot find cgroup:no/such: "), "{text}");
    }

    #[test]
    fn finds_a_socket() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let fd = socket.as_raw_fd();
        let own = find(&format!("socket:self/{fd}"));
        assert!(matches!(own, Ok(FoundOwner::Socket(_))));
        assert!(error_of("socket:2147483647/0").contains("no such process"));
        assert!(error_of("socket:self/1000000").contains("is not open"));
    }

    #[test]
    fn an_error_says_what_is_not_a_cgroup() {
        assert!(error_of("cgroup:/dev").contains("not in a cgroup hierarchy"));
        assert!(error_of("cgroup:no/such").contains("there is no /sys/fs/cgroup/no/such"));
        assert!(matches!(find("cgroup-id:7"), Ok(FoundOwner::CgroupId(7))));
    }

    #[test]
    fn finds_a_network_namespace() {
        let pid = std::process::id();
        for text in ["netns:/proc/self/ns/net".to_owned(), format!("netns:{pid}")] {
            assert!(matches!(find(&text), Ok(FoundOwner::Netns(_))), "{text}");
        }
        assert!(error_of("netns:/dev/null").contains("not a namespace"));
        assert!(error_of("netns:2147483647").contains("there is no /proc/2147483647"));
    }
}
