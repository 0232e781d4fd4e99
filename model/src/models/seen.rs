// SPDX-License-Identifier: GPL-2.0

//! What the test flavour detects: the age of objects that readers hold, and values that keep their
//! own owner.

use crate::{
    explore::{
        runtime,
        Explore, //
    },
    mock::{
        Fixture,
        Mock,
        PLACES, //
    },
    storage::{
        held::Held,
        map::Map,
        owner::Owner,
        value_keeps_owner::count_maps, //
    },
    sync::rcu, //
};
use std::{
    sync::Arc,
    thread::panicking, //
};

/// A dead object that a reader holds gets age 1, and no more.
fn ages() {
    let owner = Mock::new(PLACES[0], 1, None);
    let f = Arc::new(Fixture::new());
    assert!(f.create(owner, 1).is_ok());
    let deleter = f.clone();
    let rcu = rcu::read_lock();
    assert!(f.0.raw().held(owner.id(), &rcu).count() == 1);
    assert!(runtime().held(owner.id(), &rcu).count() == 1);
    let held = [
        f.0.raw().held(owner.id(), &rcu).next(),
        runtime().held(owner.id(), &rcu).next(),
    ];
    let ages = || {
        held.each_ref()
            .map(|held| held.as_ref().and_then(Held::age))
    };
    assert!(ages() == [Some(0); 2]);
    let thread = machine::spawn(move || assert!(deleter.delete(owner).is_ok()));
    // The reaper takes the objects that were handed over when it began: one of the two at least.
    while ages() == [Some(0); 2] {
        machine::pause();
    }
    thread.join();
    assert!(ages().iter().all(|age| matches!(age, Some(0 | 1))));
}

/// A walk visits each member once, whichever bucket it begins with.
fn walks() {
    let f = Fixture::new();
    let owners: Vec<_> = (0..40)
        .map(|n| Mock::new(PLACES[0] + n * 0x1000, 1, None))
        .collect();
    for owner in &owners {
        assert!(f.create(owner, 1).is_ok());
    }
    let rcu = rcu::read_lock();
    for owner in &owners {
        let walks: [Vec<_>; 2] = [
            f.0.raw().held(owner.id(), &rcu).collect(),
            runtime().held(owner.id(), &rcu).collect(),
        ];
        for walk in walks {
            assert!(walk.iter().all(|held| held.age() == Some(0)));
            assert!(walk.len() == owners.len());
        }
    }
}

/// A value whose drop ends an owner.
struct Keeper(&'static Mock);

impl Drop for Keeper {
    fn drop(&mut self) {
        if !panicking() {
            self.0.die();
        }
    }
}

/// A map is reported once if its values have kept their own owners, and not if they have kept other
/// owners.
fn keepers() {
    let owner = |place: usize| Mock::new(place, 1, None);
    let map = |kept: &[(&'static Mock, &'static Mock)]| {
        let map = Map::new().expect("no map");
        for &(of, keeps) in kept {
            let rcu = rcu::read_lock();
            assert!(map.get_or_create(of, || Keeper(keeps), &rcu).is_ok());
        }
        map
    };
    let own = |place: usize| {
        [0, 1, 2]
            .map(|n| owner(place + n * 0x1000))
            .map(|owner| (owner, owner))
    };
    let (one, two) = (map(&own(PLACES[0])), map(&own(PLACES[1])));
    assert!(count_maps(|| drop((one, two))) == 2);
    let other = map(&[(owner(PLACES[0]), owner(PLACES[1]))]);
    assert!(count_maps(|| drop(other)) == 0);
}

#[test]
fn seen() {
    let scenarios: [(&str, fn()); 3] = [("ages", ages), ("walks", walks), ("keepers", keepers)];
    for (name, scenario) in scenarios {
        Explore::new(name).kworkers(1).once(scenario);
    }
}
