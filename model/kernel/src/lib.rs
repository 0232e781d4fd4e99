// SPDX-License-Identifier: GPL-2.0

//! What `rust/storage/` takes from the kernel crate, under the same names, on the model of a
//! machine; and no more than that.

pub mod alloc;
pub mod error;
pub mod init;
pub mod sync;

pub use machine::warn;

/// What the kernel's prelude has.
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

/// The object that a field is in.
#[macro_export]
macro_rules! container_of {
    ($field_ptr:expr, $Container:ty, $($fields:tt)*) => {
        $field_ptr
            .byte_sub(::core::mem::offset_of!($Container, $($fields)*))
            .cast::<$Container>()
    };
}

/// A warning.
#[macro_export]
macro_rules! pr_warn {
    ($($arg:tt)*) => {
        $crate::warn(::core::format_args!($($arg)*))
    };
}

/// A warning that must not come, and ends the execution.
#[macro_export]
macro_rules! warn_on {
    ($cond:expr) => {
        assert!(!$cond)
    };
}
