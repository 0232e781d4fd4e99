// SPDX-License-Identifier: GPL-2.0

//! Initialisers, which build their object by value here.

use core::convert::Infallible;

/// An initialiser for a `T`.
pub trait PinInit<T, E = Infallible>: Sized {
    /// Builds the object.
    fn build(self) -> Result<T, E>;
}

/// An initialiser that calls a function.
pub struct Build<F>(pub F);

impl<T, E, F: FnOnce() -> Result<T, E>> PinInit<T, E> for Build<F> {
    fn build(self) -> Result<T, E> {
        (self.0)()
    }
}

/// An initialiser of a type with fields that are initialised in place.
#[macro_export]
macro_rules! pin_init {
    ($ty:ident { $($fields:tt)* }) => {
        $crate::init::Build(move || {
            Ok::<_, ::core::convert::Infallible>($crate::__fields!($ty [] $($fields)*))
        })
    };
}

/// Builds the fields one by one.
#[doc(hidden)]
#[macro_export]
macro_rules! __fields {
    ($ty:ident [$($done:tt)*]) => {
        $ty { $($done)* }
    };
    ($ty:ident [$($done:tt)*] $field:ident <- $init:expr, $($rest:tt)*) => {
        $crate::__fields!($ty [$($done)* $field: $crate::init::PinInit::build($init)?,] $($rest)*)
    };
    ($ty:ident [$($done:tt)*] $field:ident: $value:expr, $($rest:tt)*) => {
        $crate::__fields!($ty [$($done)* $field: $value,] $($rest)*)
    };
    ($ty:ident [$($done:tt)*] $field:ident, $($rest:tt)*) => {
        $crate::__fields!($ty [$($done)* $field,] $($rest)*)
    };
}
