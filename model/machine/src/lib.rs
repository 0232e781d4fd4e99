// SPDX-License-Identifier: GPL-2.0

//! A machine that checks its use: CPUs, memory, grace periods, locks and works. Each run of a
//! scenario, an *execution*, has a machine of its own.
//!
//! Every thread of an execution is a CPU. What the machine knows of CPUs and memory is plain data.
//! It changes together with an operation on a [`word`], and no other thread runs in between. The
//! machine panics when
//!
//! - memory is used after it was freed, is freed twice, or is left at the end;
//! - two accesses to [`plain`] memory race, or an access to memory and its free;
//! - memory is freed while a read section runs that has loaded a pointer to it;
//! - a pointer to freed memory is loaded;
//! - a CPU waits for a grace period inside a read section;
//! - a lock is held when its memory is freed, or at the end;
//! - no CPU can run any more, or one runs for ever, as the engines detect.

pub mod engine;
pub mod interrupt;
pub mod lines;
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
    Setup, //
};
