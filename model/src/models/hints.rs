// SPDX-License-Identifier: GPL-2.0

//! Lookups by the hints of an owner, which agree with those by the table, and follow no pointer to
//! freed memory.

use super::{
    any_unlinks_fail,
    neighbours_of,
    NO_FAULTS, //
};
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
        owner::Owner, //
    },
    sync::rcu,
};
use std::sync::Arc;

/// The number of the owner's value, by the table of the map.
fn by_table(f: &Fixture, owner: &Mock) -> Option<u64> {
    let rcu = rcu::read_lock();
    let elem = f.0.raw().find(owner.id(), &rcu)?;
    Some(f.0.value(elem).read())
}

/// Lookups by hints and by the table race with an update. None misses, and none finds the old value
/// after another one has found the new one.
fn lookups_and_update() {
    let (f, owner) = (Arc::new(Fixture::new()), Mock::hinted(PLACES[0], 1));
    assert!(f.create(owner, 1).is_ok());
    let other = f.clone();
    let thread = machine::spawn(move || {
        assert!(other.update(owner, Mode::Any, 2) == Ok(false));
    });
    let seen = [f.get(owner), by_table(&f, owner), f.get(owner)];
    let [one, two, three] = seen.map(|seen| seen.expect("a miss in an update"));
    assert!(one <= two && two <= three, "an update is undone");
    thread.join();
    assert!(f.get(owner) == Some(2) && f.elements() == 1);
}

/// The same, with a delete instead of an update.
fn lookups_and_delete() {
    let (f, owner) = (Arc::new(Fixture::new()), Mock::hinted(PLACES[0], 1));
    assert!(f.create(owner, 1).is_ok());
    let other = f.clone();
    let thread = machine::spawn(move || assert!(other.delete(owner) == Ok(1)));
    let seen = [by_table(&f, owner), f.get(owner), by_table(&f, owner)];
    assert!(
        seen.windows(2).all(|pair| pair[0] >= pair[1]),
        "a delete is undone"
    );
    thread.join();
    assert!(f.get(owner).is_none() && f.elements() == 0);
}

/// The same, with a create. The thread that creates finds what it has created, or what came later.
fn lookups_and_create() {
    let (f, owner) = (Arc::new(Fixture::new()), Mock::hinted(PLACES[0], 1));
    let other = f.clone();
    let thread = machine::spawn(move || {
        assert!(other.create(owner, 1) == Ok((1, true)));
        assert!(other.get(owner) == Some(1) && by_table(&other, owner) == Some(1));
    });
    let seen = [f.get(owner), by_table(&f, owner), f.get(owner)];
    assert!(
        seen.windows(2).all(|pair| pair[0] <= pair[1]),
        "a create is undone"
    );
    thread.join();
}

/// The element is claimed while its creator sets the hint, and freed by a kworker. No lookup
/// follows the hint any more.
fn create_delete_and_free() {
    let (f, owner) = (Arc::new(Fixture::new()), Mock::hinted(PLACES[0], 1));
    let other = f.clone();
    let thread = machine::spawn(move || {
        assert!(other.delete(owner).is_ok() || other.get(owner).is_none_or(|seen| seen == 1));
    });
    assert!(f.create(owner, 1) == Ok((1, true)));
    assert!(matches!(f.get(owner), None | Some(1)));
    thread.join();
    runtime().flush();
    assert!(f.get(owner) == by_table(&f, owner));
}

/// An update races with a delete, and both values are freed.
fn update_delete_and_free() {
    let (f, owner) = (Arc::new(Fixture::new()), Mock::hinted(PLACES[0], 1));
    assert!(f.create(owner, 1).is_ok());
    let other = f.clone();
    let thread = machine::spawn(move || {
        let deleted = other.delete(owner).expect("a miss in an update");
        assert!(
            other.get(owner).is_none_or(|seen| seen > deleted),
            "a delete is undone"
        );
    });
    let _ = f.update(owner, Mode::Any, 2);
    thread.join();
    runtime().flush();
    assert!(f.get(owner) == by_table(&f, owner));
}

/// The map ends while the owner dies. Once the notice is over, no CPU changes the owner's hints.
fn end_and_death() {
    let (f, owner) = (Fixture::new(), Mock::hinted(PLACES[0], 1));
    assert!(f.create(owner, 1).is_ok());
    owner.leave();
    let thread = machine::spawn(move || {
        owner.notice();
    });
    drop(f);
    thread.join();
}

/// A lookup by hint races with the owner's death, and with a kworker that frees.
fn lookup_and_death() {
    let (f, owner) = (Arc::new(Fixture::new()), Mock::hinted(PLACES[0], 1));
    assert!(f.create(owner, 1).is_ok());
    let other = f.clone();
    let thread = machine::spawn(move || {
        let first = other.get(owner);
        let second = other.get(owner);
        assert!(first.is_some() || second.is_none());
    });
    assert!(owner.die() && f.get(owner).is_none());
    thread.join();
    runtime().flush();
    assert!(f.get(owner).is_none() && f.elements() == 0);
}

/// An owner has values in more maps than it has hints. Each map has its own, whichever is hinted
/// at.
fn more_maps_than_hints() {
    let owner = Mock::hinted(PLACES[0], 1);
    let maps: [Fixture; 17] = std::array::from_fn(|_| Fixture::new());
    let numbered = || maps.iter().zip(1..);
    for (f, n) in numbered() {
        assert!(f.get(owner).is_none() && f.create(owner, n) == Ok((n, true)));
    }
    assert!(numbered().all(|(f, n)| f.get(owner) == Some(n)));
    for (f, n) in numbered() {
        assert!(f.update(owner, Mode::Exist, 10 * n) == Ok(false));
        assert!(f.get(owner) == Some(10 * n) && f.create(owner, 0) == Ok((10 * n, false)));
    }
    for (f, n) in numbered() {
        assert!(f.delete(owner) == Ok(10 * n) && f.get(owner).is_none());
    }
    assert!(maps.iter().all(|f| f.get(owner).is_none()));
}

/// A lookup by hint does not pass the elements in front of the owner's in its bucket, after a
/// create nor after an update.
fn lookups_use_hints() {
    let (f, owner) = (Fixture::new(), Mock::hinted(PLACES[0], 1));
    let steps = |get: &dyn Fn() -> Option<u64>, number| {
        let before = machine::steps();
        assert!(get() == Some(number));
        machine::steps() - before
    };
    assert!(f.create(owner, 1).is_ok());
    let mut neighbours = neighbours_of(PLACES[0], &f);
    for number in 1..=2 {
        for neighbour in neighbours.by_ref().take(4) {
            assert!(f.create(neighbour, 7).is_ok());
        }
        let (hint, table) = (
            steps(&|| f.get(owner), number),
            steps(&|| by_table(&f, owner), number),
        );
        assert!(hint < table, "{hint} steps by a hint");
        assert!(f.update(owner, Mode::Exist, number + 1) == Ok(false));
    }
}

#[test]
fn hints_loom() {
    Explore::new("more maps than hints").once(more_maps_than_hints);
    Explore::new("lookups use hints").once(lookups_use_hints);
    Explore::new("lookups by hint and table, update").loom(NO_FAULTS, lookups_and_update);
    Explore::new("lookups by hint and table, delete").loom(NO_FAULTS, lookups_and_delete);
    let model = Explore::new("lookups by hint and table, create").preemptions(2);
    model.loom(NO_FAULTS, lookups_and_create);
}

#[test]
fn hints_and_free_loom() {
    let model = Explore::new("create with hint, delete, kworker").kworkers(1);
    let model = model.preemptions(1);
    model.loom(NO_FAULTS, create_delete_and_free);
    let model = Explore::new("create with hint, delete, unlinks fail").preemptions(2);
    model.loom(&any_unlinks_fail(1), create_delete_and_free);
    let model = Explore::new("update with hint, delete").preemptions(2);
    model.loom(NO_FAULTS, update_delete_and_free);
}

#[test]
fn hints_and_death_loom() {
    let model = Explore::new("map end, death of an owner with hints").preemptions(2);
    model.loom(NO_FAULTS, end_and_death);
    let model = Explore::new("lookup by hint, death, kworker").kworkers(1);
    model.preemptions(1).loom(NO_FAULTS, lookup_and_death);
}

/// The scenarios that shuttle runs.
pub(super) fn random() -> Vec<Random> {
    vec![
        Random::new("lookups by hint and update", NO_FAULTS, lookups_and_update),
        Random::new("lookups by hint and delete", NO_FAULTS, lookups_and_delete),
        Random::new(
            "create with hint and delete",
            NO_FAULTS,
            create_delete_and_free,
        ),
        Random::new(
            "update with hint and delete",
            NO_FAULTS,
            update_delete_and_free,
        ),
        Random::new("hints and map end and death", NO_FAULTS, end_and_death),
        Random::new("lookup by hint and death", NO_FAULTS, lookup_and_death),
    ]
}
