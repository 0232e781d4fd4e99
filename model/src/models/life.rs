// SPDX-License-Identifier: GPL-2.0

//! The death of owners, and the end of maps, at the same time as other operations.

use super::{
    any_unlinks_fail,
    neighbour_of,
    one_lock_fails,
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
        PLACES,
        ROOM, //
    },
    storage::{
        create::Mode,
        error::Refusal,
        owner::Owner, //
    },
    sync::{
        fault,
        rcu, //
    }, //
};
use machine::engine::Handle;
use std::sync::Arc;

/// The owner dies while the map ends: the charge is given back once, before the notice of death
/// returns.
fn death_and_end() {
    let (f, owner) = (Fixture::new(), Mock::new(PLACES[0], 1, Some(ROOM)));
    fault::spare(|| assert!(f.create(owner, 1).is_ok()));
    let thread = machine::spawn(move || {
        owner.die();
    });
    drop(f);
    thread.join();
    assert!(!runtime().has_storage(owner.id()));
}

/// Only the notice of death comes while the map ends. The gate of the owner was closed a grace
/// period before. So the notice can come in the middle of a read section of the end.
fn notice_and_end() {
    let (f, owner) = (Fixture::new(), Mock::new(PLACES[0], 1, Some(ROOM)));
    fault::spare(|| assert!(f.create(owner, 1).is_ok()));
    owner.leave();
    let thread = machine::spawn(move || {
        owner.notice();
    });
    drop(f);
    thread.join();
    assert!(!runtime().has_storage(owner.id()));
}

/// As [`death_and_end`], with an element in a second map, which is not ended meanwhile.
fn death_and_end_of_one() {
    let (f, keep) = (Fixture::new(), Fixture::new());
    let owner = Mock::new(PLACES[0], 1, Some(ROOM));
    fault::spare(|| assert!(f.create(owner, 1).is_ok() && keep.create(owner, 2).is_ok()));
    let thread = machine::spawn(move || assert!(owner.die()));
    drop(f);
    thread.join();
    assert!(keep.get(owner).is_none() && keep.elements() == 0);
}

/// The owner dies while its only element is deleted.
fn death_and_delete() {
    let (f, owner) = (
        Arc::new(Fixture::new()),
        Mock::new(PLACES[0], 1, Some(ROOM)),
    );
    fault::spare(|| assert!(f.create(owner, 1).is_ok()));
    let other = f.clone();
    let thread = machine::spawn(move || {
        owner.die();
    });
    // The caller of the delete has a reference to the owner, so the owner's memory stays while the
    // guard lives.
    let deleted = f.delete(owner);
    assert!(matches!(deleted, Ok(1) | Err(Refusal::Missing)));
    assert!(f.get(owner).is_none());
    thread.join();
    drop(other);
    assert!(f.elements() == 0);
}

/// The owner dies while one of its two elements is deleted: a CPU that has yet to unlink that one
/// can still access the storage.
fn death_and_delete_of_one() {
    let (f, keep) = (Arc::new(Fixture::new()), Fixture::new());
    let owner = Mock::new(PLACES[0], 1, Some(ROOM));
    fault::spare(|| assert!(f.create(owner, 1).is_ok() && keep.create(owner, 2).is_ok()));
    let other = f.clone();
    let thread = machine::spawn(move || {
        owner.die();
    });
    let deleted = f.delete(owner);
    assert!(matches!(deleted, Ok(1) | Err(Refusal::Missing)));
    thread.join();
    drop(other);
    assert!(f.elements() == 0 && keep.elements() == 0);
}

/// At the same time, one owner dies, elements of two owners are updated and deleted, and a map
/// ends.
fn death_delete_and_end() {
    let (f, ends) = (Arc::new(Fixture::new()), Fixture::new());
    let (one, two) = (
        Mock::new(PLACES[0], 1, Some(ROOM)),
        Mock::new(PLACES[1], 2, Some(ROOM)),
    );
    for owner in [one, two] {
        let _ = f.create(owner, 1);
        let _ = ends.create(owner, 2);
    }
    let (deletes, updates) = (f.clone(), f.clone());
    let threads = [
        machine::spawn(move || {
            one.die();
        }),
        machine::spawn(move || {
            let _ = deletes.delete(one);
            let _ = deletes.delete(two);
            let _ = deletes.create(two, 3);
        }),
        machine::spawn(move || {
            let _ = updates.update(two, Mode::Any, 4);
            let _ = updates.update(one, Mode::Exist, 5);
        }),
    ];
    drop(ends);
    threads.into_iter().for_each(Handle::join);
    assert!(f.get(one).is_none());
    assert!(f.elements() == u64::from(f.get(two).is_some()));
    drop(f);
    assert!(two.charge_now() == 0);
}

/// A child gets a copy while the map ends: the end claims the copy, and does not wait for the
/// child's death.
fn inherit_and_end() {
    let f = Fixture::cloning();
    let (parent, child) = (
        Mock::new(PLACES[0], 1, None),
        Mock::new(PLACES[1], 2, Some(ROOM)),
    );
    fault::spare(|| assert!(f.create(parent, 1).is_ok()));
    let thread = machine::spawn(move || runtime().inherit(parent.id(), child));
    drop(f);
    thread.join();
    assert!(child.charge_now() == 0);
}

/// An element is created while the map ends as those of a module that goes do: the end claims it,
/// or it is refused.
fn create_and_announced_end() {
    let f = Arc::new(Fixture::new());
    let owner = Mock::new(PLACES[0], 1, Some(ROOM));
    let creator = f.clone();
    let thread = machine::spawn(move || match creator.create(owner, 1) {
        Err(Refusal::Lock(_)) => assert!(fault::planned()),
        created => assert!(matches!(created, Ok(_) | Err(Refusal::OwnerDead))),
    });
    f.0.raw().announce_end();
    rcu::synchronize_rcu();
    f.0.raw().begin_end();
    f.0.raw().wait_until_gone();
    thread.join();
    assert!(f.elements() == 0 && owner.charge_now() == 0);
}

/// A child gets a copy while the parent dies.
fn inherit_and_death() {
    let f = Fixture::cloning();
    let (parent, child) = (
        Mock::new(PLACES[0], 1, None),
        Mock::new(PLACES[1], 2, Some(ROOM)),
    );
    fault::spare(|| assert!(f.create(parent, 1).is_ok()));
    let thread = machine::spawn(move || runtime().inherit(parent.id(), child));
    parent.die();
    thread.join();
    assert!(matches!(f.get(child), None | Some(1)));
    assert!(f.elements() == u64::from(f.get(child).is_some()));
    drop(f);
    assert!(child.charge_now() == 0);
}

/// The owner dies while the map ends, and a third CPU holds the lock of the owner's storage.
fn death_end_and_holder_of_the_storage() {
    let (f, keep) = (Fixture::new(), Arc::new(Fixture::new()));
    let owner = Mock::new(PLACES[0], 1, Some(ROOM));
    fault::spare(|| assert!(f.create(owner, 1).is_ok() && keep.create(owner, 2).is_ok()));
    let holder = keep.clone();
    let threads = [
        machine::spawn(move || assert!(owner.die())),
        machine::spawn(move || {
            let updated = holder.update(owner, Mode::Any, 3);
            match updated {
                Err(Refusal::Lock(_)) => assert!(fault::planned()),
                updated => assert!(matches!(updated, Ok(_) | Err(Refusal::OwnerDead))),
            }
        }),
    ];
    drop(f);
    threads.into_iter().for_each(Handle::join);
    assert!(keep.get(owner).is_none() && keep.elements() == 0);
}

/// As above, but the third CPU holds the lock of the element's bucket: it unlinks the dead element
/// of another owner.
fn death_end_and_holder_of_the_bucket() {
    let f = Fixture::new();
    let (owner, neighbour) = (
        Mock::new(PLACES[0], 1, Some(ROOM)),
        neighbour_of(PLACES[0], &f),
    );
    fault::spare(|| assert!(f.create(owner, 1).is_ok() && f.create(neighbour, 2).is_ok()));
    let threads = [owner, neighbour].map(|owner| {
        machine::spawn(move || {
            owner.die();
        })
    });
    drop(f);
    threads.into_iter().for_each(Handle::join);
    assert!(!runtime().has_storage(owner.id()) && !runtime().has_storage(neighbour.id()));
}

#[test]
fn death_and_end_loom() {
    let model = Explore::new("death, map end, kworker").kworkers(1);
    model.preemptions(1).loom(NO_FAULTS, death_and_end);
    let model = Explore::new("death, map end, any locks fail").preemptions(1);
    model.loom(&any_unlinks_fail(2), death_and_end);
    let model = Explore::new("death, end of one map of two").preemptions(2);
    model.loom(NO_FAULTS, death_and_end_of_one);
}

#[test]
fn notice_and_end_loom() {
    let model = Explore::new("notice, map end").preemptions(2);
    model.loom(NO_FAULTS, notice_and_end);
    let model = Explore::new("notice, map end, any locks fail").preemptions(1);
    model.loom(&any_unlinks_fail(1), notice_and_end);
}

#[test]
fn death_end_and_holder_loom() {
    let model = Explore::new("death, map end, a holder of the storage's lock").preemptions(1);
    model.loom(&any_unlinks_fail(1), death_end_and_holder_of_the_storage);
    let model = Explore::new("death, map end, a holder of the bucket's lock").kworkers(1);
    let model = model.preemptions(1);
    model.loom(NO_FAULTS, death_end_and_holder_of_the_bucket);
}

#[test]
fn death_and_delete_loom() {
    let model = Explore::new("death, delete").preemptions(2);
    model.loom(&one_lock_fails(2), death_and_delete);
    let model = Explore::new("death, delete, any locks fail").preemptions(1);
    model.loom(&any_unlinks_fail(2), death_and_delete);
    let model = Explore::new("death, delete of one of two, any locks fail").preemptions(1);
    model.loom(&any_unlinks_fail(2), death_and_delete_of_one);
}

#[test]
fn inherit_loom() {
    let model = Explore::new("inherit, map end").preemptions(2);
    model.loom(NO_FAULTS, inherit_and_end);
    let model = Explore::new("create, announced end").preemptions(2);
    model.loom(NO_FAULTS, create_and_announced_end);
    Explore::new("inherit, death").loom(NO_FAULTS, inherit_and_death);
}

/// The scenarios that shuttle runs.
pub(super) fn random() -> Vec<Random> {
    vec![
        Random::new("death and end", &one_lock_fails(4), death_and_end),
        Random::new("notice and end", &any_unlinks_fail(3), notice_and_end),
        Random::new(
            "death and end of one",
            &one_lock_fails(4),
            death_and_end_of_one,
        ),
        Random::new(
            "death end and holder of the storage",
            &any_unlinks_fail(3),
            death_end_and_holder_of_the_storage,
        ),
        Random::new(
            "death end and holder of the bucket",
            &any_unlinks_fail(3),
            death_end_and_holder_of_the_bucket,
        ),
        Random::new("death and delete", &one_lock_fails(4), death_and_delete),
        Random::new(
            "death delete and end",
            &one_lock_fails(8),
            death_delete_and_end,
        ),
        Random::new(
            "create and announced end",
            &one_lock_fails(3),
            create_and_announced_end,
        ),
        Random::new("inherit and end", &one_lock_fails(3), inherit_and_end),
        Random::new("inherit and death", &one_lock_fails(3), inherit_and_death),
    ]
}
