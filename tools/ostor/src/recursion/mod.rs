// SPDX-License-Identifier: GPL-2.0
//! What one operation inside another must come to, and trying it.

mod case;
mod matrix;
mod stage;

pub use case::{Case, OpResult};
pub use matrix::{Cell, Expected, Matrix, Wanted};
pub use stage::{Stage, Verdict};
