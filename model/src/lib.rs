// SPDX-License-Identifier: GPL-2.0

//! The algorithm of the storage, compiled unchanged for the host, and tests that explore its
//! interleavings.
//!
//! `rust/storage/` is compiled from where it is, and so are the lists of `rust/sync/` that it is
//! made of (`chain.rs`, `hlist.rs`, `llist.rs`). The rest of `rust/sync/`, and what the storage
//! uses of the kernel crate, are stand-ins with the same names. They run on the model of a machine
//! that checks its use: `machine/`. A *scenario* is a test: operations that run at the same time,
//! and assertions that hold whatever the order is. Most scenarios are run in two ways:
//!
//! - by loom, in all interleavings up to a number of preemptions, and with all outcomes that the
//!   memory orders allow;
//! - by shuttle, in random interleavings of larger cases, with kworkers that run at the same time,
//!   and with memory that may be reused as soon as it was freed.
//!
//! Plans say which locks and allocations fail, and all plans are tried. Long sequences of
//! operations on one CPU are compared with a simple implementation: `sequence/`.
//!
//! # What is checked
//!
//! Every element is freed once, and every value is dropped once, when no reader can reach it any
//! more. For that, a read section records the pointers that it loads, and nothing that one leads to
//! may be freed before the section ends. Charges are exact, never below 0, never above the limit,
//! and 0 at the end. No CPU accesses an owner after its notice of death has returned. At the end
//! nothing is left and no lock is held, and at any time some thread can make progress. Plain memory
//! that changes hands is in cells. Two accesses to a cell have an order between them, unless both
//! are reads.
//!
//! # What is modelled
//!
//! - RCU: a grace period waits for the read sections that run when it begins, and gives the order
//!   that it must. To enter or to leave a read section gives no other order.
//! - rqspinlock: recursion and cycles fail at once. Time-outs are in the plans.
//! - Works: queued in any context, and run by kworkers, or by a thread that waits for them.
//! - NMIs and interrupts: an operation inside another one, before each of its steps, where
//!   interrupts are on or anywhere. Tracepoints: the same at the events of the module.
//!
//! # What is not modelled
//!
//! - Address dependencies, which neither engine knows. Instead, loads of RCU pointers acquire and
//!   stores of them release, and every thread that reaches an object sees what the object was
//!   initialised with. So a missing barrier where an object is published would not be found.
//!   `litmus/` has tests of that.
//! - A fully ordered operation is one that acquires and releases, followed by a sequentially
//!   consistent fence. Loom's are somewhat stronger than those of the kernel's memory model.
//!   Shuttle knows sequential consistency only.
//! - Plain fields that are not cells: they keep what the object was initialised with. Counters are
//!   plain, too: no operation decides by them.
//! - Loom does not know what depends on the plain state of the machine: it reorders operations on
//!   the same word. Interleavings with more preemptions than the bound are not explored.
//! - The clock, the order in which a real machine would wake threads, and the memory cgroup that
//!   pays for memory.
//!
//! # How to run
//!
//! `cargo test`, with `-- --nocapture` to see the number of interleavings and the time they took.
//! `scripts/model` runs it in the root. `LOOM_MAX_PREEMPTIONS` explores deeper and takes longer,
//! `LOOM_LONG` adds cases, `SHUTTLE_STEPS` is the number of steps that shuttle makes in all, and
//! `SEQUENCE_SEEDS` is the number of seeds for sequences. When shuttle finds a failure, it prints a
//! schedule that replays it.

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
