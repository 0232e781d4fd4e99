// SPDX-License-Identifier: GPL-2.0
//! The exit status of the tools. `ostor --help` documents it.

use std::io::ErrorKind;

use crate::device;
use crate::output::WriteError;
use crate::torture::MissingFlavour;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// The command did what it was asked to do.
    Ok = 0,
    /// The command ran, and a check failed.
    CheckFailed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The device cannot be opened, or the loaded module lacks what the command needs.
    NoDevice = 3,
    /// The device refused a command with an errno value.
    Refused = 4,
    /// No process holds a map of that name.
    NoMap = 5,
    /// Another system call failed.
    System = 6,
}

/// The command line asks for something that does not exist or makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);

/// No process holds a map of that name.
#[derive(Debug, thiserror::Error)]
#[error("there is no map named {0}; `ostor map ls` lists maps, `ostor map create` creates one")]
pub struct NoSuchMap(pub String);

impl Exit {
    /// The exit status for an error.
    pub fn of(error: &anyhow::Error) -> Self {
        if error.is::<UsageError>() {
            return Self::Usage;
        }
        if error.is::<NoSuchMap>() {
            return Self::NoMap;
        }
        if error.is::<MissingFlavour>() {
            return Self::NoDevice;
        }
        match error.downcast_ref() {
            Some(device::Error::Open { .. }) => Self::NoDevice,
            Some(device::Error::Refused { .. }) => Self::Refused,
            Some(device::Error::TooLong { .. }) => Self::Usage,
            None => Self::System,
        }
    }

    /// Success, or a failed check.
    pub fn check(ok: bool) -> Self {
        if ok { Self::Ok } else { Self::CheckFailed }
    }
}

/// Whether the error is that the reader of standard output has closed it, as `head`
/// does. Then a message would be in the way.
pub fn is_closed_output(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<WriteError>();
    error.is_some_and(|error| error.0.kind() == ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use std::io;

    use nix::errno::Errno;

    use super::*;

    #[test]
    fn an_error_keeps_its_status_under_context() {
        let missing = device::Error::Open {
            device: device::DEVICE,
            errno: Errno::ENOENT,
        };
        let error = anyhow::Error::from(missing).context("starting the demo");
        assert_eq!(Exit::of(&error), Exit::NoDevice);
        assert_eq!(Exit::of(&NoSuchMap("m".into()).into()), Exit::NoMap);
        let flavour = MissingFlavour::not_loaded("");
        assert_eq!(Exit::of(&flavour.into()), Exit::NoDevice);
        assert_eq!(Exit::of(&anyhow::anyhow!("else")), Exit::System);
    }

    #[test]
    fn only_a_closed_output_needs_no_message() {
        let error = |kind| anyhow::Error::from(WriteError(io::Error::from(kind)));
        assert!(is_closed_output(&error(ErrorKind::BrokenPipe)));
        assert!(!is_closed_output(&error(ErrorKind::StorageFull)));
        assert!(!is_closed_output(&anyhow::anyhow!("else")));
        assert_eq!(Exit::of(&error(ErrorKind::BrokenPipe)), Exit::System);
    }
}
