// SPDX-License-Identifier: GPL-2.0

//! Lookups, which find the owner's live element, and never another owner's.

use super::{
    any_locks_fail,
    neighbour_of,
    NO_FAULTS, //
};
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
    sync::fault, //
};
use std::sync::Arc;

/// Lookups race with an owner's death, and with the life of the next owner at the address.
fn lookup_and_death() {
    let f = Arc::new(Fixture::new());
    let (old, new) = (
        Mock::new(PLACES[0], 1, Some(ROOM)),
        Mock::new(PLACES[0], 2, Some(ROOM)),
    );
    fault::spare(|| assert!(f.create(old, 1) == Ok((1, true))));
    let other = f.clone();
    let thread = machine::spawn(move || {
        assert!(matches!(other.get(new), None | Some(2)));
        assert!(matches!(other.get(old), None | Some(1)));
    });
    assert!(old.die());
    assert!(f.get(old).is_none());
    let left = match f.create(new, 2) {
        Ok(created) => {
            assert!(created == (2, true));
            Some(2)
        }
        Err(refusal) => {
            assert!(matches!(refusal, Refusal::Lock(_)) && fault::planned());
            None
        }
    };
    assert!(f.get(new) == left);
    thread.join();
    assert!(f.get(new) == left && f.elements() == u64::from(left.is_some()));
}

/// The first owner's notice of death was missed. The create of the next owner at the address ends
/// its element.
fn lookup_and_missed_death() {
    let f = Arc::new(Fixture::new());
    let (old, new) = (Mock::new(PLACES[0], 1, None), Mock::new(PLACES[0], 2, None));
    assert!(f.create(old, 1) == Ok((1, true)));
    let other = f.clone();
    let thread = machine::spawn(move || {
        assert!(matches!(other.get(new), None | Some(2)));
    });
    assert!(f.create(new, 2) == Ok((2, true)));
    assert!(f.get(old).is_none() && f.get(new) == Some(2));
    thread.join();
    assert!(f.elements() == 1);
}

/// A lookup races with a delete, and with a kworker that frees: the element stays while the reader
/// holds it.
fn lookup_and_delete() {
    let (f, owner) = (Arc::new(Fixture::new()), Mock::new(PLACES[0], 1, None));
    assert!(f.create(owner, 1).is_ok());
    let other = f.clone();
    let thread = machine::spawn(move || assert!(other.delete(owner) == Ok(1)));
    assert!(matches!(f.get(owner), None | Some(1)));
    thread.join();
    assert!(f.get(owner).is_none() && f.elements() == 0);
}

/// A lookup races with an update: it finds one of the two elements.
fn lookup_and_update() {
    let (f, owner) = (Arc::new(Fixture::new()), Mock::new(PLACES[0], 1, None));
    assert!(f.create(owner, 1).is_ok());
    let other = f.clone();
    let thread = machine::spawn(move || {
        assert!(other.update(owner, Mode::Any, 2) == Ok(false));
    });
    let first = f.get(owner).expect("a miss in an update");
    let second = f.get(owner).expect("a miss in an update");
    assert!(first <= second);
    thread.join();
    assert!(f.get(owner) == Some(2) && f.elements() == 1);
}

/// As above, while a neighbour in the bucket is deleted and created.
fn lookup_update_and_neighbour() {
    let f = Arc::new(Fixture::new());
    let (owner, neighbour) = (Mock::new(PLACES[0], 1, None), neighbour_of(PLACES[0], &f));
    assert!(f.create(neighbour, 8).is_ok() && f.create(owner, 1).is_ok());
    let (one, two) = (f.clone(), f.clone());
    let updates = machine::spawn(move || {
        assert!(one.update(owner, Mode::Any, 2) == Ok(false));
    });
    let deletes = machine::spawn(move || {
        assert!(two.delete(neighbour) == Ok(8));
        assert!(two.create(neighbour, 9) == Ok((9, true)));
    });
    assert!(f.get(owner).is_some(), "a miss in an update");
    updates.join();
    deletes.join();
    assert!(f.get(owner) == Some(2) && f.get(neighbour) == Some(9));
    assert!(f.elements() == 2);
}

#[test]
fn lookup_and_death_loom() {
    let model = Explore::new("lookup, death, next owner");
    model.preemptions(2).loom(NO_FAULTS, lookup_and_death);
    let model = Explore::new("lookup, death, next owner, any locks fail");
    model
        .preemptions(1)
        .loom(&any_locks_fail(2), lookup_and_death);
}

#[test]
fn lookup_and_missed_death_loom() {
    let model = Explore::new("lookup, missed death, next owner").kworkers(1);
    model
        .preemptions(1)
        .loom(NO_FAULTS, lookup_and_missed_death);
}

#[test]
fn lookup_and_delete_loom() {
    let model = Explore::new("lookup, delete, kworker").kworkers(1);
    model.preemptions(2).loom(NO_FAULTS, lookup_and_delete);
}

#[test]
fn lookup_and_update_loom() {
    let model = Explore::new("lookup, update, kworker").kworkers(1);
    model.preemptions(1).loom(NO_FAULTS, lookup_and_update);
    Explore::new("lookup, update").loom(NO_FAULTS, lookup_and_update);
    let model = Explore::new("lookup, update, neighbour").preemptions(1);
    model.loom(NO_FAULTS, lookup_update_and_neighbour);
}

/// The scenarios that shuttle runs.
pub(super) fn random() -> Vec<Random> {
    vec![
        Random::new("lookup and death", NO_FAULTS, lookup_and_death),
        Random::new(
            "lookup and missed death",
            NO_FAULTS,
            lookup_and_missed_death,
        ),
        Random::new(
            "lookup update and neighbour",
            NO_FAULTS,
            lookup_update_and_neighbour,
        ),
    ]
}
