// SPDX-License-Identifier: GPL-2.0

//! Long sequences of operations on a few owners and maps, and a reference: a simple implementation
//! that gives the outcome that each operation must have, and the state after it.
//!
//! A sequence is replayed on a [`Subject`]: the storage's code on the model's machine, or the
//! device with real processes. A seed always gives the same sequences. A sequence that fails is
//! reduced as far as possible, and printed.

mod op;
mod reference;
mod replay;

pub use op::{
    Fault,
    Mode,
    Op,
    Step,
    MAPS,
    OWNERS, //
};
pub use reference::{
    Entry,
    Outcome,
    Stored, //
};
pub use replay::{
    replay,
    seeds,
    Subject,
    Total, //
};
