// SPDX-License-Identifier: GPL-2.0

//! Maps that end in the drop of a value, where no thread waits for the end; and the end of the
//! module.

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
    sync::{
        fault::{
            self,
            Plan,
            Site, //
        },
        rcu, //
    },
};
use std::sync::{
    Arc,
    OnceLock, //
};

/// A value whose drop ends a map.
struct Ender(#[expect(dead_code, reason = "held for its drop")] Fixture);

/// A map with an [`Ender`] of the owner.
fn with_ender(owner: &'static Mock, ends: Fixture) -> Map<Ender> {
    let map = Map::new().expect("no map");
    assert!(map
        .get_or_create(owner, || Ender(ends), &rcu::read_lock())
        .is_ok());
    map
}

/// The map that ends has elements, whose owners die at the same time or not.
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

/// The map that ends has no live element. The CPU that frees the last element races with the
/// holder.
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

/// A value that holds the last reference to its own map.
struct Own(#[expect(dead_code, reason = "held for its drop")] Arc<OnceLock<Map<Own>>>);

/// The map ends in the drop of its last value. The kworker that drops the value does not wait for
/// the end.
fn end_in_a_drop_of_its_own() {
    let owner = Mock::new(PLACES[0], 1, None);
    let of_test = Arc::new(OnceLock::new());
    let of_value = of_test.clone();
    let map = of_test.get_or_init(|| Map::new().expect("no map"));
    let rcu = rcu::read_lock();
    assert!(map.get_or_create(owner, || Own(of_value), &rcu).is_ok());
    assert!(map.delete(owner, &rcu).is_ok());
    drop(rcu);
    drop(of_test);
    runtime().flush();
    assert!(runtime().stats.maps.get() == 0);
}

/// One kworker frees the last element of the map while another one ends the map. Which of the two
/// begins depends on which map was made first.
fn end_beside_the_last_free(ends: Fixture, map: Map<Ender>) {
    let (one, two) = (Mock::new(PLACES[0], 1, None), Mock::new(PLACES[1], 2, None));
    assert!(ends.create(one, 1).is_ok() && ends.delete(one) == Ok(1));
    let rcu = rcu::read_lock();
    assert!(map.get_or_create(two, || Ender(ends), &rcu).is_ok());
    assert!(map.delete(two, &rcu).is_ok());
    drop(rcu);
    // The kworkers start with the first thread.
    machine::spawn(|| ()).join();
    drop(map);
    runtime().flush();
    assert!(runtime().stats.maps.get() == 0);
}

/// The last free begins.
fn last_free_and_end_in_a_drop() {
    let ends = Fixture::new();
    end_beside_the_last_free(ends, Map::new().expect("no map"));
}

/// The end begins.
fn end_in_a_drop_beside_the_last_free() {
    let map = Map::new().expect("no map");
    end_beside_the_last_free(Fixture::new(), map);
}

#[test]
fn end_in_a_drop_loom() {
    Explore::new("end in a drop of its own").once(end_in_a_drop_of_its_own);
    let model = Explore::new("end in a drop, and death").preemptions(1);
    model.loom(NO_FAULTS, end_in_a_drop_and_death);
    let model = Explore::new("end in a drop, and the last free").preemptions(3);
    model.loom(NO_FAULTS, end_in_a_drop_and_last_free);
    let model = Explore::new("end in a drop, beside the last free").preemptions(1);
    let model = model.kworkers(2);
    model.loom(NO_FAULTS, last_free_and_end_in_a_drop);
    model.loom(NO_FAULTS, end_in_a_drop_beside_the_last_free);
}

/// The runtime is dropped while storages wait to be freed, one of which is in the index still.
fn unload() {
    let f = Fixture::new();
    for place in PLACES {
        let owner = Mock::new(place, 1, None);
        assert!(f.create(owner, 1).is_ok() && f.delete(owner) == Ok(1));
    }
    drop(f);
    let f = Fixture::new();
    let owner = Mock::new(PLACES[0], 1, None);
    assert!(f.create(owner, 1).is_ok());
    fault::begin(Plan::NONE.fail(Site::IndexLock, 0b11));
    assert!(f.delete(owner) == Ok(1));
    drop(f);
}

/// The runtime is dropped while another CPU ends the last map.
fn unload_and_end() {
    let f = Fixture::new();
    assert!(f.create(Mock::new(PLACES[0], 1, None), 1).is_ok());
    machine::spawn(move || drop(f));
}

/// The runtime is dropped while there is a map. It warns of that, but not at once.
fn unload_with_map() {
    let f = Fixture::new();
    assert!(f.create(Mock::new(PLACES[0], 1, None), 1).is_ok());
    machine::spawn(move || {
        while machine::warnings() == 0 {
            machine::pause();
        }
        assert!(machine::pauses() >= 100, "a warning too early");
        drop(f);
    });
}

#[test]
fn unload_loom() {
    Explore::new("unload").hasty().once(unload);
    Explore::new("unload with a map")
        .hasty()
        .once(unload_with_map);
    let model = Explore::new("unload, map end").hasty().preemptions(2);
    model.loom(NO_FAULTS, unload_and_end);
    let model = model.kworkers(1).preemptions(1);
    model.loom(NO_FAULTS, unload_and_end);
}
