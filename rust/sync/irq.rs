// SPDX-License-Identifier: GPL-2.0

//! Sections with interrupts off.

use crate::shim;

/// Runs `op`, which must be short, with interrupts off. Any context.
///
/// The kernel crate's guard keeps the old state in a per-CPU variable, which an NMI may overwrite.
/// This function keeps it on the stack.
#[inline]
pub(crate) fn with_irqs_off<R>(op: impl FnOnce() -> R) -> R {
    // SAFETY: An FFI call with no requirement.
    let flags = unsafe { shim::ostor_irq_save() };
    let result = op();
    // SAFETY: The flags come from the call above, on the same CPU.
    unsafe { shim::ostor_irq_restore(flags) };
    result
}
