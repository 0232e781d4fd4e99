// SPDX-License-Identifier: GPL-2.0

//! Deletes that race with each other, and with an update.

use super::{
    any_locks_fail,
    any_unlinks_fail,
    one_lock_fails,
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

/// Two CPUs delete one element: one succeeds, whatever locks fail.
fn both_delete() {
    let (f, owner) = (
        Arc::new(Fixture::new()),
        Mock::new(PLACES[0], 1, Some(ROOM)),
    );
    fault::spare(|| assert!(f.create(owner, 1).is_ok()));
    let other = f.clone();
    let deleted = Arc::new(std::sync::Mutex::new(None));
    let theirs = deleted.clone();
    let thread = machine::spawn(move || *theirs.lock().unwrap() = Some(other.delete(owner)));
    let mine = f.delete(owner);
    thread.join();
    let theirs = deleted.lock().unwrap().expect("no outcome");
    match (mine, theirs) {
        (Ok(1), Err(Refusal::Missing)) | (Err(Refusal::Missing), Ok(1)) => {}
        outcome => panic!("two deletes ended with {outcome:?}"),
    }
    assert!(f.elements() == 0);
    drop(f);
    assert!(owner.charge_now() == 0);
}

/// An update with [`Mode::Any`] races with a delete, and the owner is at its limit.
fn update_and_delete_without_room() {
    update_and_delete(Mode::Any, false);
}

/// The same below the limit.
fn update_and_delete_with_room() {
    update_and_delete(Mode::Any, true);
}

/// An update with [`Mode::Exist`] races with a delete, and the owner is at its limit.
fn exist_and_delete() {
    update_and_delete(Mode::Exist, false);
}

/// The same below the limit.
fn exist_and_delete_with_room() {
    update_and_delete(Mode::Exist, true);
}

/// An update with [`Mode::Exist`] races with a delete of the only element, which ends the storage.
fn exist_and_delete_of_all() {
    let f = Arc::new(Fixture::new());
    let owner = Mock::new(PLACES[0], 1, Some(ROOM));
    assert!(f.create(owner, 1).is_ok());
    let other = f.clone();
    let thread = machine::spawn(move || {
        let _ = other.delete(owner);
    });
    let updated = f.update(owner, Mode::Exist, 2);
    thread.join();
    assert!(matches!(updated, Ok(false) | Err(Refusal::Missing)));
    assert!(f.elements() == u64::from(f.get(owner).is_some()));
}

fn update_and_delete(mode: Mode, room: bool) {
    let (f, keep) = (Arc::new(Fixture::new()), Fixture::new());
    let owner = Mock::new(PLACES[0], 1, Some(ROOM));
    fault::spare(|| assert!(keep.create(owner, 0).is_ok()));
    let least = owner.charge_now();
    fault::spare(|| assert!(f.create(owner, 1).is_ok()));
    if !room {
        owner.limit_to_charge();
    }
    let other = f.clone();
    let deleted = Arc::new(std::sync::Mutex::new(None));
    let theirs = deleted.clone();
    let thread = machine::spawn(move || {
        // The owner has an element throughout. So the delete finds one, and no lookup finds an
        // older one after it.
        let deleted = other.delete(owner);
        let seen = other.get(owner);
        match deleted {
            Ok(1) => assert!(seen != Some(1), "a delete is undone"),
            Ok(2) => assert!(seen.is_none(), "a delete is undone"),
            _ => panic!("a delete ended with {deleted:?}"),
        }
        *theirs.lock().unwrap() = Some(deleted);
    });
    let updated = f.store(owner, mode, 2);
    thread.join();
    let deleted = deleted.lock().unwrap().expect("no outcome");
    match updated {
        // An element that replaces another one has its number. One that was created has a new one.
        Ok((seq, created)) => {
            assert!(seq == 1 + u64::from(created), "a number is used twice");
            assert!(
                !created || mode != Mode::Exist,
                "an update with Mode::Exist has created"
            );
        }
        Err(Refusal::Missing) => assert!(mode == Mode::Exist),
        Err(Refusal::NoMemory) => assert!(!room),
        Err(refusal) => assert!(matches!(refusal, Refusal::Lock(_))),
    }
    let left = f.get(owner);
    assert!(f.elements() == u64::from(left.is_some()));
    // A delete of the first element comes after an update with `Mode::Exist`, which must replace
    // the element. It comes before an update with `Mode::Any`, which can create one.
    if let (Ok((_, created)), Ok(1)) = (updated, deleted) {
        match mode {
            Mode::Exist => assert!(
                left.is_none(),
                "a delete has left the value of an update that came before"
            ),
            _ => assert!(!room || created && left == Some(2), "an update is lost"),
        }
    }
    let wanted = least + left.map_or(0, |_| f.bytes());
    assert!(owner.charge_now() == wanted, "the charge is not exact");
    drop(f);
    assert!(owner.charge_now() == least);
    drop(keep);
    assert!(owner.charge_now() == 0);
}

#[test]
fn both_delete_loom() {
    Explore::new("delete, delete")
        .preemptions(2)
        .loom(NO_FAULTS, both_delete);
    let model = Explore::new("delete, delete, any locks fail").preemptions(1);
    model.loom(&any_unlinks_fail(2), both_delete);
}

#[test]
fn update_and_delete_loom() {
    let explore = |name| Explore::new(name).preemptions(2);
    explore("update, delete, no room").loom(NO_FAULTS, update_and_delete_without_room);
    explore("update, delete, room").loom(NO_FAULTS, update_and_delete_with_room);
    explore("update that must replace, delete").loom(NO_FAULTS, exist_and_delete);
    explore("update that must replace, delete, room").loom(NO_FAULTS, exist_and_delete_with_room);
    explore("update that must replace, delete of all").loom(NO_FAULTS, exist_and_delete_of_all);
    let model = Explore::new("update, delete, any locks fail").preemptions(1);
    model.loom(&any_locks_fail(1), update_and_delete_without_room);
}

/// The scenarios that shuttle runs.
pub(super) fn random() -> Vec<Random> {
    vec![
        Random::new("both delete", &one_lock_fails(4), both_delete),
        Random::new(
            "update and delete without room",
            &one_lock_fails(6),
            update_and_delete_without_room,
        ),
        Random::new("exist and delete", &one_lock_fails(6), exist_and_delete),
    ]
}
