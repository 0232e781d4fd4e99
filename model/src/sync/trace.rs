// SPDX-License-Identifier: GPL-2.0

//! Events inside operations, at which a test can run another operation, as an NMI or a tracepoint's
//! probe would.

use std::cell::RefCell;

/// An event.
#[derive(Copy, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// A create, update or delete begins. It holds no lock.
    Enter,
    /// This CPU has just taken the lock of an owner's storage.
    StorageLocked,
    /// This CPU has just taken the lock of an owner's bucket.
    BucketLocked,
}

struct Probe {
    cpu: usize,
    event: Event,
    inside: Box<dyn FnOnce()>,
}

thread_local! {
    static PROBES: RefCell<Vec<Probe>> = const { RefCell::new(Vec::new()) };
}

/// Reports `event`.
pub(crate) fn event(event: Event, _addr: usize) {
    let cpu = machine::cpu();
    let probe = PROBES.with(|probes| {
        let mut probes = probes.borrow_mut();
        let at = probes
            .iter()
            .position(|probe| probe.cpu == cpu && probe.event == event)?;
        Some(probes.remove(at))
    });
    if let Some(probe) = probe {
        (probe.inside)();
    }
}

/// Runs `inside` at the next `event` on this CPU.
pub(crate) fn probe(event: Event, inside: impl FnOnce() + 'static) {
    let probe = Probe {
        cpu: machine::cpu(),
        event,
        inside: Box::new(inside),
    };
    PROBES.with(|probes| probes.borrow_mut().push(probe));
}

/// Forgets the probes of an execution.
pub(crate) fn begin() {
    PROBES.with(|probes| probes.borrow_mut().clear());
}
