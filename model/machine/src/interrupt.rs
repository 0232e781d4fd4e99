// SPDX-License-Identifier: GPL-2.0

//! Interrupts and NMIs: functions that run on a CPU before any of its steps.
//!
//! A step is an operation on a word, a fence, or the begin or end of a read section.

use crate::world::{
    with,
    World, //
};
use std::thread::panicking;

/// The kind of an interrupt.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Can come before any step.
    Nmi,
    /// Can come before any step at which interrupts are on.
    Irq,
}

/// An interrupt that is to come.
pub(crate) struct Coming {
    cpu: usize,
    kind: Kind,
    /// The number of steps that the CPU makes before.
    steps: u64,
    handler: Box<dyn FnOnce()>,
}

/// Makes `handler` run on this CPU after so many more steps. A CPU can wait for one interrupt at a
/// time.
pub fn after(steps: u64, kind: Kind, handler: impl FnOnce() + 'static) {
    with(|w| {
        let cpu = w.cpu();
        assert!(w.coming.iter().all(|coming| coming.cpu != cpu));
        w.coming.push(Coming {
            cpu,
            kind,
            steps,
            handler: Box::new(handler),
        });
    });
}

/// Cancels the interrupt that is to come on this CPU. Returns whether it has come already.
pub fn cancel() -> bool {
    let coming = with(|w| {
        let cpu = w.cpu();
        let at = w.coming.iter().position(|coming| coming.cpu == cpu)?;
        Some(w.coming.swap_remove(at))
    });
    coming.is_none()
}

/// Turns interrupts off on this CPU. Calls nest.
pub fn off() {
    with(|w| {
        let cpu = w.cpu();
        w.cpus[cpu].irqs_off += 1;
    });
}

/// Undoes one call of [`off`].
pub fn on() {
    with(|w| {
        let cpu = w.cpu();
        w.cpus[cpu].irqs_off -= 1;
    });
}

/// To be called before each step. Runs the handler that comes before it.
pub(crate) fn step() {
    if panicking() {
        return;
    }
    let handler = with(|w| {
        w.steps += 1;
        if w.coming.is_empty() {
            return None;
        }
        w.next_handler()
    });
    if let Some(handler) = handler {
        count_handlers(1);
        handler();
        count_handlers(-1);
    }
}

fn count_handlers(by: i32) {
    with(|w| {
        let cpu = w.cpu();
        let handlers = &mut w.cpus[cpu].handlers;
        *handlers = handlers.wrapping_add_signed(by);
    });
}

/// Returns whether this CPU runs no handler.
pub fn in_task() -> bool {
    with(|w| {
        let cpu = w.cpu();
        w.cpus[cpu].handlers == 0
    })
}

impl World {
    fn next_handler(&mut self) -> Option<Box<dyn FnOnce()>> {
        let cpu = self.cpu();
        let at = self.coming.iter().position(|coming| coming.cpu == cpu)?;
        let coming = &mut self.coming[at];
        if coming.steps > 0 {
            coming.steps -= 1;
            return None;
        }
        if coming.kind == Kind::Irq && self.cpus[cpu].irqs_off > 0 {
            return None;
        }
        Some(self.coming.swap_remove(at).handler)
    }
}
