// SPDX-License-Identifier: GPL-2.0

//! Operations inside others, as an NMI or a tracepoint's probe runs them, while another CPU works
//! on the same owners.

use super::NO_FAULTS;
use crate::{
    explore::{
        Explore,
        Random, //
    },
    mock::{
        Fixture,
        Mock,
        PLACES,
        ROOM, //
    },
    storage::{
        create::Mode,
        error::Refusal, //
    },
    sync::{
        res_lock::LockError,
        trace::{
            self,
            Event, //
        }, //
    },
};
use std::sync::Arc;

/// An update inside the critical section of the owner's storage fails at once, unless that storage
/// is dead. A delete there succeeds.
fn inside_the_owners_section() {
    let (f, g) = (Arc::new(Fixture::new()), Arc::new(Fixture::new()));
    let owner = Mock::new(PLACES[0], 1, Some(ROOM));
    assert!(g.create(owner, 5).is_ok());
    let (inner, deleter) = (g.clone(), g.clone());
    let thread = machine::spawn(move || {
        let deleted = deleter.delete(owner);
        assert!(matches!(deleted, Ok(5 | 6) | Err(Refusal::Missing)));
    });
    trace::probe(Event::StorageLocked, move || {
        if let Err(refusal) = inner.update(owner, Mode::Any, 6) {
            assert!(refusal == Refusal::Lock(LockError::Deadlock));
        }
        let deleted = inner.delete(owner);
        assert!(matches!(deleted, Ok(5 | 6) | Err(Refusal::Missing)));
    });
    assert!(f.create(owner, 1) == Ok((1, true)));
    thread.join();
    assert!(g.get(owner).is_none() && g.elements() == 0);
    assert!(f.get(owner) == Some(1));
    drop((f, g));
    assert!(owner.charge_now() == 0);
}

/// Each of two CPUs is in the critical section of one owner, and wants the lock of the other one's:
/// no CPU waits for ever.
fn abba() {
    let f = Arc::new(Fixture::new());
    let (one, two) = (
        Mock::new(PLACES[0], 1, Some(ROOM)),
        Mock::new(PLACES[1], 2, Some(ROOM)),
    );
    let other = f.clone();
    let cross = |f: Arc<Fixture>, owner, inside| {
        let inner = f.clone();
        trace::probe(Event::StorageLocked, move || {
            if let Err(refusal) = inner.update(inside, Mode::Any, 3) {
                assert!(refusal == Refusal::Lock(LockError::Deadlock));
            }
        });
        assert!(f.update(owner, Mode::Any, 4).is_ok());
    };
    let thread = machine::spawn(move || cross(other, one, two));
    cross(f.clone(), two, one);
    thread.join();
    assert!(f.get(one).is_some() && f.get(two).is_some());
    assert!(f.elements() == 2);
    drop(f);
    assert!(one.charge_now() == 0 && two.charge_now() == 0);
}

#[test]
fn nested_loom() {
    let model = Explore::new("delete, and inside the owner's section").preemptions(2);
    model.loom(NO_FAULTS, inside_the_owners_section);
    let model = Explore::new("abba").preemptions(2);
    model.loom(NO_FAULTS, abba);
}

/// The scenarios that shuttle runs.
pub(super) fn random() -> Vec<Random> {
    vec![
        Random::new(
            "inside the owners section",
            NO_FAULTS,
            inside_the_owners_section,
        ),
        Random::new("abba", NO_FAULTS, abba),
    ]
}
