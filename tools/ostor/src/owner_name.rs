// SPDX-License-Identifier: GPL-2.0
//! Owners as a person writes them.

use std::os::fd::{OwnedFd, RawFd};
use std::str::FromStr;

use anyhow::Context;
use nix::errno::Errno;
use nix::unistd::Pid;
use ostor::device::Owner;
use ostor::sys::process::{self, Names};

/// An owner by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OwnerName {
    /// This very process.
    Current,
    /// A process.
    Pid(i32),
    /// A thread.
    Tid(i32),
    /// An inherited pidfd.
    Pidfd(RawFd),
}

/// An owner by name, found.
#[derive(Debug)]
pub(crate) enum FoundOwner {
    Current,
    Task(OwnedFd),
}

impl FromStr for OwnerName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "self" {
            return Ok(Self::Current);
        }
        let (kind, number) = text
            .split_once(':')
            .ok_or_else(|| "write pid:N, tid:N, pidfd:N or self".to_owned())?;
        let number: i32 = match number.parse() {
            Ok(number) if number >= 0 => number,
            _ => {
                return Err(format!(
                    "{number:?} is not a number of a process or descriptor"
                ));
            }
        };
        match kind {
            "pid" if number > 0 => Ok(Self::Pid(number)),
            "tid" if number > 0 => Ok(Self::Tid(number)),
            "pid" | "tid" => Err("processes count from 1".to_owned()),
            "pidfd" => Ok(Self::Pidfd(number)),
            _ => Err(format!(
                "{kind:?} is no kind of owner; there are pid, tid and pidfd"
            )),
        }
    }
}

impl OwnerName {
    /// Opens what the name stands for.
    pub(crate) fn find(self) -> anyhow::Result<FoundOwner> {
        let (fd, what) = match self {
            Self::Current => return Ok(FoundOwner::Current),
            Self::Pid(pid) => (
                process::pidfd_open(Pid::from_raw(pid), Names::Process),
                "process",
            ),
            Self::Tid(tid) => (
                process::pidfd_open(Pid::from_raw(tid), Names::Thread),
                "thread",
            ),
            Self::Pidfd(fd) => (process::inherited(fd), "descriptor"),
        };
        let fd = fd.map_err(|errno| match errno {
            Errno::ESRCH => anyhow::anyhow!("there is no such {what}"),
            Errno::EINVAL | Errno::ENOENT if matches!(self, Self::Pid(_)) => {
                anyhow::anyhow!("this is a thread, not a process; write tid:N")
            }
            errno => errno.into(),
        });
        Ok(FoundOwner::Task(fd.with_context(|| {
            format!("cannot find the owner ({self:?})")
        })?))
    }
}

impl FoundOwner {
    /// As the device wants it.
    pub(crate) fn owner(&self) -> Owner<'_> {
        match self {
            Self::Current => Owner::Current,
            Self::Task(pidfd) => Owner::task(pidfd),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_kind() {
        assert_eq!("self".parse(), Ok(OwnerName::Current));
        assert_eq!("pid:12".parse(), Ok(OwnerName::Pid(12)));
        assert_eq!("tid:13".parse(), Ok(OwnerName::Tid(13)));
        assert_eq!("pidfd:0".parse(), Ok(OwnerName::Pidfd(0)));
    }

    #[test]
    fn refuses_everything_else() {
        for text in [
            "", "12", "pid:", "pid:0", "tid:0", "pid:-1", "pid:x", "socket:3", "SELF",
        ] {
            assert!(text.parse::<OwnerName>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn finds_this_process() {
        let pid = i32::try_from(std::process::id()).unwrap();
        assert!(matches!(
            OwnerName::Pid(pid).find(),
            Ok(FoundOwner::Task(_))
        ));
        assert!(matches!(OwnerName::Current.find(), Ok(FoundOwner::Current)));
        assert!(OwnerName::Pid(i32::MAX).find().is_err());
    }
}
