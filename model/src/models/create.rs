// SPDX-License-Identifier: GPL-2.0

//! Creates that race with each other, and with the death of their owner.

use super::{
    any_locks_fail,
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
        reserve::Reserve, //
    },
    sync::fault::{
        self,
        Plan,
        Site, //
    },
};
use std::sync::{
    Arc,
    Mutex, //
};

/// Two CPUs create an element of one owner: both get it, and one of them has created it.
fn both_create() {
    let (f, owner) = (
        Arc::new(Fixture::new()),
        Mock::new(PLACES[0], 1, Some(ROOM)),
    );
    let other = f.clone();
    let thread = machine::spawn(move || {
        if let Ok((value, created)) = other.create(owner, 1) {
            assert!(created == (value == 1));
        }
    });
    let mine = f.create(owner, 2);
    thread.join();
    if let Ok((value, created)) = mine {
        assert!(created == (value == 2));
        assert!(f.get(owner) == Some(value));
    }
    assert!(f.elements() == u64::from(f.get(owner).is_some()));
    drop(f);
    assert!(owner.charge_now() == 0);
}

/// As above, and no fault occurs, so neither create is refused.
fn both_create_and_succeed() {
    let (f, owner) = (Arc::new(Fixture::new()), Mock::new(PLACES[0], 1, None));
    let other = f.clone();
    let thread = machine::spawn(move || assert!(other.create(owner, 1).is_ok()));
    assert!(f.create(owner, 2).is_ok());
    thread.join();
    assert!(f.elements() == 1);
}

/// Each create has a reserve, and no memory can be allocated: both get the element. The storage
/// that was not published is back in its reserve, which needs one element more for another create.
fn both_create_from_reserves() {
    let (f, owner) = (Arc::new(Fixture::new()), Mock::new(PLACES[0], 1, None));
    let [mut mine, theirs] = [(); 2].map(|()| {
        let mut reserve = Reserve::new(f.0.raw());
        assert!(reserve.fill(1).is_ok());
        reserve
    });
    fault::begin(
        [Site::ElementAlloc, Site::StorageAlloc]
            .iter()
            .fold(Plan::NONE, |plan, &site| plan.fail(site, u64::MAX)),
    );
    let other = f.clone();
    let thread = machine::spawn(move || assert!(other.create_from(&theirs, owner, 1).is_ok()));
    let (number, created) = f.create_from(&mine, owner, 2).expect("no memory");
    thread.join();
    assert!(created == (number == 2) && f.elements() == 1);
    fault::begin(Plan::NONE.fail(Site::StorageAlloc, u64::MAX));
    assert!(mine.fill(1).is_ok() != created);
    let storages = runtime().stats.sum(|here| &here.storages);
    assert!(storages == 1, "{storages} storages");
}

/// As above with [`Mode::NoExist`]: one create succeeds, and the other one is refused.
fn both_create_new() {
    let (f, owner) = (Arc::new(Fixture::new()), Mock::new(PLACES[0], 1, None));
    let other = f.clone();
    let theirs = Arc::new(Mutex::new(None));
    let outcome = theirs.clone();
    let thread = machine::spawn(move || {
        *outcome.lock().unwrap() = Some(other.update(owner, Mode::NoExist, 1));
    });
    let mine = f.update(owner, Mode::NoExist, 2);
    thread.join();
    let theirs = theirs.lock().unwrap().expect("no outcome");
    match (theirs, mine) {
        (Ok(true), Err(Refusal::Exists)) => assert!(f.get(owner) == Some(1)),
        (Err(Refusal::Exists), Ok(true)) => assert!(f.get(owner) == Some(2)),
        outcome => panic!("two creates ended with {outcome:?}"),
    }
    assert!(f.elements() == 1);
}

/// The limit allows one storage with one element. Both creates get that element: neither is refused
/// for what the other one was charged.
fn both_create_at_the_limit() {
    let f = Arc::new(Fixture::new());
    let owner = Mock::new(PLACES[0], 1, Some(ROOM));
    assert!(f.create(owner, 0).is_ok());
    owner.limit_to_charge();
    assert!(f.delete(owner).is_ok());
    let other = f.clone();
    let thread = machine::spawn(move || assert!(other.create(owner, 1).is_ok()));
    assert!(f.create(owner, 2).is_ok());
    thread.join();
    assert!(f.elements() == 1);
}

/// A create races with a create that a delete follows. The storage of the living owner may die at
/// any step, and is never taken for a stale one.
fn create_and_create_delete() {
    let f = Arc::new(Fixture::new());
    let owner = Mock::new(PLACES[0], 1, Some(ROOM));
    let other = f.clone();
    let thread = machine::spawn(move || {
        if other.create(owner, 1).is_ok() {
            let _ = other.delete(owner);
        }
    });
    let mine = f.create(owner, 2);
    thread.join();
    assert!(matches!(mine, Ok((1, false) | (2, true)) | Err(_)));
    assert!(
        runtime().stats.sum(|here| &here.stale) == 0,
        "a living owner is stale"
    );
    assert!(f.elements() == u64::from(f.get(owner).is_some()));
    drop(f);
    assert!(owner.charge_now() == 0);
}

/// A create races with the owner's death. Either it comes first, and its element dies too, or it is
/// refused.
fn create_and_death() {
    let (f, owner) = (
        Arc::new(Fixture::new()),
        Mock::new(PLACES[0], 1, Some(ROOM)),
    );
    let other = f.clone();
    let thread = machine::spawn(move || match other.create(owner, 1) {
        Ok(outcome) => assert!(outcome == (1, true)),
        Err(Refusal::Lock(_)) => assert!(fault::planned()),
        Err(refusal) => assert!(refusal == Refusal::OwnerDead),
    });
    owner.die();
    assert!(f.get(owner).is_none());
    assert!(!runtime().has_storage(crate::storage::owner::Owner::id(owner)));
    thread.join();
    assert!(f.elements() == 0);
}

#[test]
fn both_create_loom() {
    Explore::new("create, create").loom(NO_FAULTS, both_create_and_succeed);
    Explore::new("create, create of what must be new").loom(NO_FAULTS, both_create_new);
    Explore::new("create, create from reserves").loom(NO_FAULTS, both_create_from_reserves);
}

#[test]
fn both_create_at_the_limit_loom() {
    Explore::new("create, create at the limit").loom(NO_FAULTS, both_create_at_the_limit);
}

#[test]
fn both_create_with_faults_loom() {
    let sites = [Site::LinkLock, Site::ElementAlloc, Site::StorageAlloc];
    let plans = Plan::all(&sites, 2, 6);
    let model = Explore::new("create, create, anything fails").preemptions(2);
    model.loom(&plans, both_create);
}

#[test]
fn create_and_create_delete_loom() {
    let model = Explore::new("create, create and delete");
    model
        .preemptions(2)
        .loom(NO_FAULTS, create_and_create_delete);
}

#[test]
fn create_and_death_loom() {
    Explore::new("create, death").loom(NO_FAULTS, create_and_death);
    let model = Explore::new("create, death, any locks fail").preemptions(1);
    model.loom(&any_locks_fail(2), create_and_death);
}

/// The scenarios that shuttle runs.
pub(super) fn random() -> Vec<Random> {
    vec![
        Random::new(
            "both create and succeed",
            NO_FAULTS,
            both_create_and_succeed,
        ),
        Random::new(
            "both create at the limit",
            NO_FAULTS,
            both_create_at_the_limit,
        ),
        Random::new("both create", &one_lock_fails(3), both_create),
        Random::new(
            "create and create delete",
            &one_lock_fails(3),
            create_and_create_delete,
        ),
        Random::new("create and death", NO_FAULTS, create_and_death),
    ]
}
