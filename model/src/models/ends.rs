// SPDX-License-Identifier: GPL-2.0

//! Maps that end in the drop of a value, where nobody waits for them.

use super::NO_FAULTS;
use crate::{
    explore::{
        runtime,
        Explore, //
    },
    mock::{
        Fixture,
        Mock,
        PLACES,
        ROOM, //
    },
    storage::map::Map,
    sync::rcu,
};
use std::sync::Arc;

/// A value that ends a map with its drop.
struct Ender(#[expect(dead_code, reason = "held for its drop")] Fixture);

/// A map of those, with one for the owner.
fn with_ender(owner: &'static Mock, ends: Fixture) -> Map<Ender> {
    let map = Map::new().expect("no map");
    assert!(map
        .get_or_create(owner, || Ender(ends), &rcu::read_lock())
        .is_ok());
    map
}

/// The map that ends has elements, of owners that die or not at the same time.
fn end_in_a_drop_and_death() {
    let (one, two) = (
        Mock::new(PLACES[0], 1, Some(ROOM)),
        Mock::new(PLACES[1], 2, None),
    );
    let ends = Fixture::new();
    assert!(ends.create(one, 1).is_ok());
    let map = with_ender(two, ends);
    let thread = machine::spawn(move || {
        one.die();
    });
    assert!(map.delete(two, &rcu::read_lock()).is_ok());
    drop(map);
    thread.join();
    runtime().flush();
    assert!(runtime().stats.maps.get() == 0);
}

/// The map that ends has no element any more: whoever frees the last one meets its owner.
fn end_in_a_drop_and_last_free() {
    let (one, two) = (Mock::new(PLACES[0], 1, None), Mock::new(PLACES[1], 2, None));
    let ends = Fixture::new();
    assert!(ends.create(one, 1).is_ok());
    assert!(ends.delete(one).is_ok());
    let map = Arc::new(with_ender(two, ends));
    let ender = map.clone();
    let thread = machine::spawn(move || {
        assert!(ender.delete(two, &rcu::read_lock()).is_ok());
    });
    runtime().flush();
    thread.join();
    drop(map);
    runtime().flush();
    assert!(runtime().stats.maps.get() == 0);
}

#[test]
fn end_in_a_drop_loom() {
    let model = Explore::new("end in a drop, and death").preemptions(1);
    model.loom(NO_FAULTS, end_in_a_drop_and_death);
    let model = Explore::new("end in a drop, and the last free").preemptions(3);
    model.loom(NO_FAULTS, end_in_a_drop_and_last_free);
}
