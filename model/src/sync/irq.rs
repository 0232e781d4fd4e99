// SPDX-License-Identifier: GPL-2.0

//! Interrupts, of which a CPU of the model has none: [`super::trace`] has what comes between.

/// Runs `op`.
pub(crate) fn with_irqs_off<R>(op: impl FnOnce() -> R) -> R {
    op()
}
