// SPDX-License-Identifier: GPL-2.0

//! Why an operation changed nothing.

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

/// The reasons. Each has an errno value of its own.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// The lock of the owner's storage could not be taken (`EDEADLK`, `ETIMEDOUT`).
    Lock(LockError),
    /// No memory without waiting (`ENOMEM`).
    NoMemory,
    /// The mode is [`Mode::NoExist`](super::create::Mode::NoExist), and there is an element
    /// (`EEXIST`).
    Exists,
    /// The operation needs an element, and there is none (`ENOENT`).
    Missing,
    /// The owner is dead or dying (`ESRCH`).
    OwnerDead,
    /// This kernel does not notify the module when such owners die (`EOPNOTSUPP`).
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
