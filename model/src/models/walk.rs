// SPDX-License-Identifier: GPL-2.0

//! Walks while elements are created, deleted and updated: an element that is live throughout is
//! listed once.

use super::NO_FAULTS;
use crate::{
    explore::{
        runtime,
        Explore,
        Random, //
    },
    mock::{
        Fixture,
        Mock,
        PLACES, //
    },
    storage::{
        create::Mode,
        owner::Owner,
        walk::Cursor, //
    },
    sync::rcu, //
};
use std::sync::Arc;

/// How often a walk of the map, one element per read section, lists the owner.
fn listed(f: &Fixture, owner: &Mock) -> u32 {
    let (mut cursor, mut count) = (Cursor::default(), 0);
    loop {
        let rcu = rcu::read_lock();
        let Some((_, label)) = f.0.raw().next(&mut cursor, &rcu) else {
            return count;
        };
        count += u32::from(label.id == owner.id().serial());
    }
}

/// A walk of a map races with updates.
fn walk_and_update() {
    let (f, owner) = (Arc::new(Fixture::new()), Mock::new(PLACES[0], 1, None));
    assert!(f.create(owner, 1).is_ok());
    let other = f.clone();
    let thread = machine::spawn(move || {
        assert!(other.update(owner, Mode::Any, 2) == Ok(false));
        assert!(other.update(owner, Mode::Exist, 3) == Ok(false));
    });
    assert!(
        listed(&f, owner) == 1,
        "an element that is live throughout is listed once"
    );
    thread.join();
    assert!(listed(&f, owner) == 1);
}

/// A walk of an owner's elements races with an update of one element and the delete of another.
fn owner_walk_and_update() {
    let (f, gone) = (Arc::new(Fixture::new()), Fixture::new());
    let owner = Mock::new(PLACES[0], 1, None);
    assert!(gone.create(owner, 1).is_ok() && f.create(owner, 2).is_ok());
    let (other, map) = (f.clone(), f.0.raw().id());
    let thread = machine::spawn(move || {
        assert!(other.update(owner, Mode::Any, 3) == Ok(false));
        assert!(gone.delete(owner) == Ok(1));
    });
    let (mut after, mut seen) = (0, 0);
    loop {
        let rcu = rcu::read_lock();
        let Some(elem) = runtime().next_of(owner.id(), after, &rcu) else {
            break;
        };
        after = elem.map().id();
        seen += u32::from(after == map);
    }
    assert!(
        seen == 1,
        "an element that is live throughout is listed once"
    );
    thread.join();
}

#[test]
fn walk_loom() {
    let model = Explore::new("walk of a map, updates").kworkers(1);
    model.preemptions(1).loom(NO_FAULTS, walk_and_update);
    let model = Explore::new("walk of an owner, update, delete");
    model.preemptions(1).loom(NO_FAULTS, owner_walk_and_update);
}

/// The scenarios that shuttle runs.
pub(super) fn random() -> Vec<Random> {
    vec![
        Random::new("walk and update", NO_FAULTS, walk_and_update),
        Random::new("owner walk and update", NO_FAULTS, owner_walk_and_update),
    ]
}
