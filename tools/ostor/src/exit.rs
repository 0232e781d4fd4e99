// SPDX-License-Identifier: GPL-2.0
//! The tool's exit status. `ostor --help` documents it.

use ostor::device;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// It did what it was asked.
    Ok = 0,
    /// It ran, and something it checked was not as it must be.
    CheckFailed = 1,
    /// It was asked wrongly.
    Usage = 2,
    /// The device is missing or may not be opened.
    NoDevice = 3,
    /// The device refused, and said why with an errno value.
    Refused = 4,
    /// No map of that name is held.
    NoMap = 5,
    /// The system failed otherwise.
    System = 6,
}

/// The command line asked for something that makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct UsageError(pub(crate) String);

/// No map of that name is held.
#[derive(Debug, thiserror::Error)]
#[error("there is no map named {0}; `ostor map ls` lists them, `ostor map create` makes one")]
pub(crate) struct NoSuchMap(pub(crate) String);

impl Exit {
    /// The exit status for an error.
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        if error.is::<UsageError>() {
            return Self::Usage;
        }
        if error.is::<NoSuchMap>() {
            return Self::NoMap;
        }
        match error.downcast_ref() {
            Some(device::Error::Open(_)) => Self::NoDevice,
            Some(device::Error::Refused { .. }) => Self::Refused,
            Some(device::Error::TooLong { .. }) => Self::Usage,
            None => Self::System,
        }
    }

    /// Success, or a failed check.
    pub(crate) fn check(ok: bool) -> Self {
        if ok { Self::Ok } else { Self::CheckFailed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_keeps_its_status_under_context() {
        let missing = device::Error::Open(nix::errno::Errno::ENOENT);
        let error = anyhow::Error::from(missing).context("starting the demo");
        assert_eq!(Exit::of(&error), Exit::NoDevice);
        assert_eq!(Exit::of(&NoSuchMap("m".into()).into()), Exit::NoMap);
        assert_eq!(Exit::of(&anyhow::anyhow!("else")), Exit::System);
    }
}
