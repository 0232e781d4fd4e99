// SPDX-License-Identifier: GPL-2.0

//! A machine that keeps watch: CPUs, memory, grace periods, locks and works, of which each test
//! run, an *execution*, has its own.
//!
//! Every thread of an execution is a CPU. What the machine knows of them and of memory is plain
//! data: it changes together with an operation on a [`word`], between which no other thread runs.
//! It panics when
//!
//! - memory is used after it was freed, freed twice, or left at the end;
//! - two accesses to [`plain`] memory race, or a use of memory and its free;
//! - memory is freed to which a read section that still runs has loaded a pointer;
//! - a pointer to freed memory is loaded;
//! - somebody waits for a grace period inside a read section;
//! - a lock is held when its memory is freed, or at the end;
//! - nobody can run any more, or somebody runs for ever: the engines tell.

pub mod engine;
pub mod interrupt;
pub mod lock;
mod memory;
pub mod plain;
pub mod rcu;
pub mod word;
pub mod work;
mod world;

pub use world::{
    alloc,
    begin,
    cpu,
    end,
    engine,
    free,
    on_heap,
    pause,
    pauses,
    spawn,
    steps,
    wait_until,
    wake,
    warn,
    warnings,
    written_by_many,
    Setup, //
};
