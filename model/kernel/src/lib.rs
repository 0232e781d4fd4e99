// SPDX-License-Identifier: GPL-2.0

//! The parts of the kernel crate that `rust/storage/` uses, with the same names, on the model's
//! machine.

pub mod alloc;
pub mod error;
pub mod init;
pub mod sync;

pub use machine::warn;

/// Stands in for the kernel's prelude.
pub mod prelude {
    pub use crate::{
        alloc::{
            KBox,
            KVVec,
            GFP_KERNEL, //
        },
        error::*,
        init::PinInit,
        pin_init,
        pr_warn, //
    };
    pub use core::pin::Pin;
    pub use macros::pin_data;
}

/// The address of the object that a field belongs to.
#[macro_export]
macro_rules! container_of {
    ($field_ptr:expr, $Container:ty, $($fields:tt)*) => {
        $field_ptr
            .byte_sub(::core::mem::offset_of!($Container, $($fields)*))
            .cast::<$Container>()
    };
}

/// Prints a warning.
#[macro_export]
macro_rules! pr_warn {
    ($($arg:tt)*) => {
        $crate::warn(::core::format_args!($($arg)*))
    };
}

/// Ends the execution if the condition is true.
#[macro_export]
macro_rules! warn_on {
    ($cond:expr) => {
        assert!(!$cond)
    };
}
