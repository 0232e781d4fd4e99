// SPDX-License-Identifier: GPL-2.0

//! Long sequences of operations on a few owners and maps, and a plain model that knows what each
//! must return and what must be there after it.
//!
//! A sequence is replayed on a [`Subject`]: the storage's code on the model of a machine, or the
//! device with real processes. A seed always gives the same sequences. One that fails is made as
//! small as it will go, and printed.

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
