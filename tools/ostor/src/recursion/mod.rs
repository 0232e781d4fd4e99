// SPDX-License-Identifier: GPL-2.0
//! Recursion: the cases of one operation inside another, their promised outcomes, and
//! how they are tried.

mod case;
mod fixture;
mod matrix;
mod tried;

pub use case::{Case, OpResult};
pub use fixture::{Fixture, Verdict};
pub use matrix::{Cell, Expected, Matrix, Wanted};
pub use tried::{Tried, as_table, op_name, try_all};
