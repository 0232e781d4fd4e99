// SPDX-License-Identifier: GPL-2.0

//! Why an operation did nothing.

use crate::sync::{
    compat::EOPNOTSUPP,
    res_lock::LockError, //
};
use kernel::prelude::{
    Error,
    EEXIST,
    ENOENT,
    ENOMEM,
    ESRCH, //
};

/// The reasons; each has an errno value of its own.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Refusal {
    /// The owner's lock could not be had (`EDEADLK`, `ETIMEDOUT`).
    Lock(LockError),
    /// No memory without waiting (`ENOMEM`).
    NoMemory,
    /// There is an element, and there must not be (`EEXIST`).
    Exists,
    /// There is no element, and there must be (`ENOENT`).
    Missing,
    /// The owner is dead or dying (`ESRCH`).
    OwnerDead,
    /// This kernel does not tell of the death of such owners (`EOPNOTSUPP`).
    Unsupported,
}

impl From<LockError> for Refusal {
    fn from(err: LockError) -> Self {
        Self::Lock(err)
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Error {
        match refusal {
            Refusal::Lock(err) => err.into(),
            Refusal::NoMemory => ENOMEM,
            Refusal::Exists => EEXIST,
            Refusal::Missing => ENOENT,
            Refusal::OwnerDead => ESRCH,
            Refusal::Unsupported => EOPNOTSUPP,
        }
    }
}
