// SPDX-License-Identifier: GPL-2.0

//! Safe Rust over the kernel's primitives that the storage needs and the kernel crate lacks.
//!
//! Nothing here knows of elements or owners. `model/` has modules of the same names that stand in
//! for these, so that [`crate::storage`] compiles unchanged on a host.

pub(crate) mod age;
pub(crate) mod chain;
pub(crate) mod clock;
pub(crate) mod compat;
mod completion;
pub(crate) mod counter;
pub(crate) mod deferred;
pub(crate) mod fault;
pub(crate) mod hlist;
pub(crate) mod irq;
pub(crate) mod llist;
pub(crate) mod lock_order;
pub(crate) mod module;
pub(crate) mod nolock;
pub(crate) mod params;
pub(crate) mod per_cpu;
pub(crate) mod rcu;
pub(crate) mod res_lock;
pub(crate) mod task_work;
pub(crate) mod trace;
pub(crate) mod uaccess;

/// Plain memory that one thread hands to another. The models see races on it.
pub(crate) use core::cell::Cell;

pub(crate) use kernel::processor::cpu_relax;

pub(crate) use completion::Completion;

pub(crate) use kernel::sync::atomic::{
    Acquire,
    Atomic,
    Full,
    Relaxed,
    Release, //
};

/// The same reference. To the compiler it is any address, as after `OPTIMIZER_HIDE_VAR()`.
#[inline(always)]
pub(crate) fn opaque<T>(object: &T) -> &T {
    let mut at = core::ptr::from_ref(object);
    #[allow(
        clippy::pointers_in_nomem_asm_block,
        reason = "the pointer is not dereferenced"
    )]
    // SAFETY: The assembler sees a comment.
    unsafe {
        core::arch::asm!(
            "/* {0} */",
            inout(reg) at,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    // SAFETY: The address is that of `object` still.
    unsafe { &*at }
}
