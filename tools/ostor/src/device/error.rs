// SPDX-License-Identifier: GPL-2.0
//! Errors of the device: what failed, why, and what to do about it.

use std::io;
use std::path::Path;

use nix::errno::Errno;

/// The result of an access to the device.
pub type Result<T> = std::result::Result<T, Error>;

/// A failed access to the device.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The device could not be opened.
    #[error("cannot open {device}: {}: {}", .errno.desc(), why_not_open(device, *.errno))]
    Open {
        /// Path of the device.
        device: &'static str,
        /// Why.
        errno: Errno,
    },
    /// The device refused a command.
    #[error("cannot {what}: {errno:?}: {}", why(*.errno))]
    Refused {
        /// What the command was to do.
        what: &'static str,
        /// The errno value of the ioctl.
        errno: Errno,
    },
    /// A value does not fit into the map.
    #[error("the value has {len} bytes, but the map holds {value_size} per owner; shorten it")]
    TooLong {
        /// Bytes of the value.
        len: usize,
        /// Bytes per value of the map.
        value_size: u32,
    },
}

impl Error {
    pub(super) fn open(device: &'static str, error: io::Error) -> Self {
        let errno = Errno::try_from(error).unwrap_or(Errno::EIO);
        Self::Open { device, errno }
    }

    pub(crate) fn refused(what: &'static str) -> impl Fn(Errno) -> Self {
        move |errno| Self::Refused { what, errno }
    }

    /// The errno value, or the one that the kernel would return.
    pub fn errno(&self) -> Errno {
        match *self {
            Self::Open { errno, .. } | Self::Refused { errno, .. } => errno,
            Self::TooLong { .. } => Errno::E2BIG,
        }
    }
}

fn why_not_open(device: &str, errno: Errno) -> String {
    match errno {
        Errno::ENOENT | Errno::ENXIO | Errno::ENODEV => {
            let module = Path::new(device).file_name().unwrap_or_default();
            let module = module.to_string_lossy();
            format!(
                "the module is not loaded; load it with `modprobe {module}` or `insmod {module}.ko`"
            )
        }
        Errno::EPERM | Errno::EACCES => "this needs CAP_SYS_ADMIN; run it as root".to_owned(),
        _ => "see the kernel log".to_owned(),
    }
}

fn why(errno: Errno) -> &'static str {
    match errno {
        Errno::ENOENT => "the owner has no value in this map; store one with `ostor set`",
        Errno::EEXIST => "the owner has a value in this map already; store without --noexist",
        Errno::ESRCH => {
            "there is no such owner, or it is dead or dying; no value can be attached to it"
        }
        Errno::EBADF => "the descriptor is closed or of another kind; name the owner again",
        Errno::ENOTSOCK => "the descriptor is not a socket's; name a socket's",
        Errno::EOPNOTSUPP => {
            "this kernel does not report the end of such owners, or accepted sockets; see kinds \
             in `ostor stats`, and what the kernel logged when the module was loaded"
        }
        Errno::EINVAL => "the device does not know such a size or flag, or the file is not a map",
        Errno::E2BIG => "a value has 1 to 8064 bytes, so that every context can allocate it",
        Errno::ENOMEM => {
            "no memory is left, or the owner's limit is reached (a socket's: \
             net.core.optmem_max); delete some values and try again"
        }
        Errno::EFAULT => "an address is not mapped in this process",
        Errno::EDEADLK => {
            "this CPU holds the owner's lock already (recursion); try again after it is released"
        }
        Errno::ETIMEDOUT => {
            "another CPU has held the owner's lock for too long; see the kernel log"
        }
        Errno::EBUSY => {
            "it is in use already; wait for the other use to end, or create the map without BUSY"
        }
        Errno::EAGAIN => "it cannot be done at this moment; try again",
        Errno::ENOTTY => "the module does not know this command; load a module as new as this tool",
        _ => "see the kernel log",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_why_and_what_to_do() {
        let missing = io::Error::from_raw_os_error(libc::ENOENT);
        let missing = Error::open("/dev/owner_storage", missing).to_string();
        assert!(
            missing.starts_with("cannot open /dev/owner_storage:"),
            "{missing}"
        );
        assert!(missing.ends_with("`insmod owner_storage.ko`"), "{missing}");
        let dead = Error::refused("store a value")(Errno::ESRCH).to_string();
        assert!(
            dead.starts_with("cannot store a value: ESRCH: there is no such owner"),
            "{dead}"
        );
    }
}
