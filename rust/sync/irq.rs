// SPDX-License-Identifier: GPL-2.0

//! Interrupts of this CPU, kept away for a moment.

use crate::shim;

/// Runs `op` with interrupts off. Any context; `op` must be short.
///
/// The kernel crate's guard keeps the old state in a variable of the CPU, which an NMI may change
/// at the wrong moment; here it is on the stack.
#[inline]
pub(crate) fn with_irqs_off<R>(op: impl FnOnce() -> R) -> R {
    // SAFETY: An FFI call with no requirement.
    let flags = unsafe { shim::ostor_irq_save() };
    let result = op();
    // SAFETY: The flags are those of the call above, on the same CPU.
    unsafe { shim::ostor_irq_restore(flags) };
    result
}
