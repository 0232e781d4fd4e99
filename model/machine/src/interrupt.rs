// SPDX-License-Identifier: GPL-2.0

//! What comes in between: anything that runs on a CPU in the middle of something else, at any step.
//!
//! A step is an operation on a word, a fence, or the begin or end of a read section. What comes
//! runs before the step is made.

use crate::world::{
    with,
    World, //
};
use std::thread::panicking;

/// What comes.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Comes anywhere.
    Nmi,
    /// Comes as soon as interrupts are on.
    Irq,
}

/// What is to come.
pub(crate) struct Coming {
    cpu: usize,
    kind: Kind,
    /// Steps of the CPU before it.
    steps: u64,
    handler: Box<dyn FnOnce()>,
}

/// Lets `handler` come on this CPU, after so many steps more. One at a time.
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

/// Nothing comes on this CPU any more; returns whether it has come.
pub fn cancel() -> bool {
    let coming = with(|w| {
        let cpu = w.cpu();
        let at = w.coming.iter().position(|coming| coming.cpu == cpu)?;
        Some(w.coming.swap_remove(at))
    });
    coming.is_none()
}

/// Turns this CPU's interrupts off, as often as they are turned on again.
pub fn off() {
    with(|w| {
        let cpu = w.cpu();
        w.cpus[cpu].irqs_off += 1;
    });
}

/// Turns interrupts on again.
pub fn on() {
    with(|w| {
        let cpu = w.cpu();
        w.cpus[cpu].irqs_off -= 1;
    });
}

/// Makes a step: whatever comes before it has come.
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

/// Whether nothing has come in the middle of what this CPU does.
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
