// SPDX-License-Identifier: GPL-2.0

//! Errors, with the names of the kernel crate.

use core::convert::Infallible;

/// An errno value.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Error(i32);

/// A result with an errno value.
pub type Result<T = (), E = Error> = core::result::Result<T, E>;

/// The error of an allocation.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct AllocError;

impl From<AllocError> for Error {
    fn from(_: AllocError) -> Self {
        ENOMEM
    }
}

impl From<Infallible> for Error {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

macro_rules! errors {
    ($($name:ident = $number:literal,)*) => {
        $(
            #[allow(missing_docs)]
            pub const $name: Error = Error(-$number);
        )*
    };
}

errors! {
    ENOENT = 2,
    ESRCH = 3,
    E2BIG = 7,
    ENOMEM = 12,
    EEXIST = 17,
    ENODEV = 19,
    EINVAL = 22,
    EDEADLK = 35,
    EOPNOTSUPP = 95,
    ETIMEDOUT = 110,
}
