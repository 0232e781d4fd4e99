// SPDX-License-Identifier: GPL-2.0

//! A CPU's interrupts.

use machine::interrupt;

/// Runs `op` with interrupts off.
pub(crate) fn with_irqs_off<R>(op: impl FnOnce() -> R) -> R {
    interrupt::off();
    let result = op();
    interrupt::on();
    result
}
