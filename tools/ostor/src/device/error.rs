// SPDX-License-Identifier: GPL-2.0
//! What can go wrong with the device, told so that a person can act on it.

use std::io;

use nix::errno::Errno;

use super::DEVICE;

/// The result of an access to the device.
pub type Result<T> = std::result::Result<T, Error>;

/// A failed access to the device.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The device could not be opened.
    #[error("cannot open {DEVICE}: {}: {}", .0.desc(), why_not_open(*.0))]
    Open(Errno),
    /// The device refused a command.
    #[error("cannot {what}: {errno:?}: {}", why(*.errno))]
    Refused {
        /// What was tried.
        what: &'static str,
        /// What the device answered.
        errno: Errno,
    },
    /// A value does not fit into the map.
    #[error("the value has {len} bytes, but the map holds {value_size} per owner; shorten it")]
    TooLong {
        /// Bytes of the value.
        len: usize,
        /// Bytes that the map stores.
        value_size: u32,
    },
}

impl Error {
    pub(super) fn open(error: io::Error) -> Self {
        Self::Open(Errno::try_from(error).unwrap_or(Errno::EIO))
    }

    pub(super) fn refused(what: &'static str) -> impl Fn(Errno) -> Self {
        move |errno| Self::Refused { what, errno }
    }

    /// The kernel's answer, or what it would be.
    pub fn errno(&self) -> Errno {
        match *self {
            Self::Open(errno) | Self::Refused { errno, .. } => errno,
            Self::TooLong { .. } => Errno::E2BIG,
        }
    }
}

fn why_not_open(errno: Errno) -> &'static str {
    match errno {
        Errno::ENOENT | Errno::ENXIO | Errno::ENODEV => {
            "the module is not loaded; load it with `insmod owner_storage.ko`"
        }
        Errno::EPERM | Errno::EACCES => "this needs CAP_SYS_ADMIN; run it as root",
        _ => "see the kernel log",
    }
}

fn why(errno: Errno) -> &'static str {
    match errno {
        Errno::ENOENT => "the owner has no value in this map; store one with `ostor set`",
        Errno::EEXIST => "the owner has a value in this map already; store without NOEXIST",
        Errno::ESRCH => {
            "there is no such owner, or it is dead or dying; nothing can be attached to it"
        }
        Errno::EBADF => "the descriptor is closed or of another kind; name the owner anew",
        Errno::ENOTSOCK => "the descriptor is not a socket's; name one that is",
        Errno::EOPNOTSUPP => {
            "this kernel does not tell of the end of such owners, or of accepted sockets; see \
             kinds in `ostor stats`, and the kernel log of when the module was loaded"
        }
        Errno::EINVAL => "a size or flag is not one the device knows, or the file is not a map",
        Errno::E2BIG => "such a value cannot be allocated in every context; make it smaller",
        Errno::ENOMEM => {
            "there is no memory left, or the owner's limit is reached (a socket's: \
             net.core.optmem_max); delete something and try again"
        }
        Errno::EFAULT => "an address is not of this process",
        Errno::EDEADLK => {
            "this CPU holds the owner's lock already (recursion); try again outside of it"
        }
        Errno::ETIMEDOUT => "whoever holds the owner's lock is stuck; see the kernel log",
        Errno::EBUSY => {
            "it is in use already; close or wait for the other use, or create the map without BUSY"
        }
        Errno::EAGAIN => "not now; try again",
        Errno::ENOTTY => "the module does not know this command; load one as new as this tool",
        _ => "see the kernel log",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_why_and_what_to_do() {
        let missing = Error::open(io::Error::from_raw_os_error(libc::ENOENT)).to_string();
        assert!(
            missing.contains(DEVICE) && missing.contains("insmod"),
            "{missing}"
        );
        let dead = Error::refused("store a value")(Errno::ESRCH).to_string();
        assert!(
            dead.starts_with("cannot store a value: ESRCH: there is no such owner"),
            "{dead}"
        );
    }
}
