// SPDX-License-Identifier: GPL-2.0

//! Lookups, which find what is there and never another owner's value.

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

/// Lookups meet an owner's death, and the life of the next owner at the address.
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

/// The notice of the first owner's death was missed: the next one's create ends what it left.
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

/// A lookup meets a delete, and a kworker that frees at once: what is found stays.
fn lookup_and_delete() {
    let (f, owner) = (Arc::new(Fixture::new()), Mock::new(PLACES[0], 1, None));
    assert!(f.create(owner, 1).is_ok());
    let other = f.clone();
    let thread = machine::spawn(move || assert!(other.delete(owner) == Ok(1)));
    assert!(matches!(f.get(owner), None | Some(1)));
    thread.join();
    assert!(f.get(owner).is_none() && f.elements() == 0);
}

/// An update replaces the element while somebody looks: he finds one of the two.
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

/// The same, and a neighbour in the bucket comes and goes.
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

/// In random interleavings.
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
