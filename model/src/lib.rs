// SPDX-License-Identifier: GPL-2.0

//! The storage's algorithm, compiled unchanged for the host, with its interleavings explored.
//!
//! `rust/storage/` is compiled from where it is, and so are the lists of `rust/sync/` it is made of
//! (`chain.rs`, `hlist.rs`, `llist.rs`). The rest of `rust/sync/` and what the storage takes from
//! the kernel crate are stand-ins with the same names, on the model of a machine that keeps watch:
//! `machine/`. A *model* is a scenario, what runs at the same time and what must be true whatever
//! comes first. Most are run in two ways:
//!
//! - by loom, in all its interleavings up to a number of preemptions, and with all outcomes that
//!   the orderings allow;
//! - by shuttle, in random interleavings of larger cases, with kworkers that run at once, and with
//!   memory that may come back at once when it was freed.
//!
//! Locks and allocations fail by plans, all of which are gone through. On one CPU long sequences of
//! operations are compared with a plain model: `sequence/`.
//!
//! # What is watched
//!
//! Every element is freed once, and every value dropped once, when nobody can reach it any more: a
//! read section notes what it loads pointers to, and nothing of that may be freed before it ends.
//! Charges are exact, never below 0 and never above the limit, and 0 at the end. An owner is not
//! touched after its notice of death is over. Nothing is left at the end, no lock is held, and
//! somebody can always get on. Plain memory that changes hands, which is in cells, is not accessed
//! twice without an order between the two, unless both are reads.
//!
//! # What is modelled
//!
//! - RCU: a grace period waits for the read sections that run when it begins, and orders what it
//!   must; entering and leaving a read section orders nothing else.
//! - rqspinlock: recursion and cycles fail at once; time-outs are among the plans.
//! - Works: asked for in any context, done by kworkers, or by whoever sleeps until they are done.
//! - NMIs and interrupts: an operation inside another one, before each of its steps, where
//!   interrupts are on or anywhere. Tracepoints: the same at the places of the module's events.
//!
//! # What is not
//!
//! - Address dependencies, which no engine knows. Loads of RCU pointers acquire instead, stores of
//!   them release, and what an object was initialised with is seen by all who come to it. So a
//!   missing barrier where an object is published would not be found; `litmus/` has tests of that.
//! - Full ordering is an operation that acquires and releases, and a sequentially consistent fence
//!   behind it. Loom's are somewhat stronger than the memory model of the kernel. Shuttle knows
//!   sequential consistency only.
//! - Plain fields that are no cells: what an object is initialised with stays. Counters are plain
//!   too: nobody decides by them.
//! - Loom does not know what depends on the machine's plain state; it reorders what touches the
//!   same word. The number of preemptions is bounded: no interleaving with more is seen.
//! - The clock, the order in which a real machine would wake those who wait, and who pays for
//!   memory.
//!
//! # How to run
//!
//! `cargo test`, with `-- --nocapture` to see how many interleavings there were and how long that
//! took; `scripts/model` does that in the root. `LOOM_MAX_PREEMPTIONS` goes deeper and takes
//! longer, `LOOM_LONG` takes more cases, `SHUTTLE_STEPS` says how many steps chance makes in all,
//! and `SEQUENCE_SEEDS` how many seeds of sequences there are. A failure of shuttle prints a
//! schedule, with which it can be replayed.

#![cfg(test)]

mod explore;
mod mock;
#[path = "../../kunit/mock_owner.rs"]
mod mock_owner;
mod models;
#[allow(dead_code, reason = "some of it is for the device")]
#[path = "../../rust/storage/mod.rs"]
mod storage;
mod sync;
