// SPDX-License-Identifier: GPL-2.0

//! Operations chosen by chance, on two owners and two maps.

use super::one_lock_fails;
use crate::{
    explore::{
        runtime,
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
        owner::Owner, //
    },
};
use machine::{
    engine::Handle,
    interrupt::{
        self,
        Kind, //
    }, //
};
use shuttle::rand::{
    thread_rng,
    Rng, //
};
use std::sync::Arc;

/// The number of operations of each thread.
const OPERATIONS: u64 = 6;

/// An interrupt comes before one of so many steps of an operation, or not at all. Most operations
/// have fewer.
const STEPS: u64 = 60;

type Maps = [Arc<Fixture>; 2];
type Owners = [&'static Mock; 2];

/// Runs any operation but the death of an owner, which comes at most once.
fn operate(maps: &Maps, owners: Owners, number: u64) {
    let f = &maps[thread_rng().gen_range(0..2)];
    let at = thread_rng().gen_range(0..2);
    let (owner, other) = (owners[at], owners[1 - at]);
    match thread_rng().gen_range(0..8) {
        0 | 1 => drop(f.create(owner, number)),
        2 => drop(f.update(owner, Mode::Any, number)),
        3 => drop(f.update(owner, Mode::Exist, number)),
        4 => drop(f.update(owner, Mode::NoExist, number)),
        5 => drop(f.delete(owner)),
        6 => runtime().inherit(owner.id(), other),
        _ => drop(f.get(owner)),
    }
}

/// Runs operations one after the other. Another operation interrupts some of them.
fn operate_often(maps: &Maps, owners: Owners) {
    for number in 0..OPERATIONS {
        let inside = maps.clone();
        interrupt::after(thread_rng().gen_range(0..STEPS), Kind::Nmi, move || {
            operate(&inside, owners, OPERATIONS + number);
        });
        operate(maps, owners, number);
        interrupt::cancel();
    }
}

/// Two threads run operations, and then one owner dies while another thread runs operations.
fn anything() {
    let owners = [
        Mock::new(PLACES[0], 1, Some(ROOM)),
        Mock::new(PLACES[1], 2, Some(ROOM)),
    ];
    let maps = [Arc::new(Fixture::new()), Arc::new(Fixture::cloning())];
    let threads = [false, false, true].map(|kills| {
        let maps = maps.clone();
        machine::spawn(move || {
            operate_often(&maps, owners);
            if kills {
                owners[0].die();
            }
        })
    });
    threads.into_iter().for_each(Handle::join);
    assert!(
        runtime().stats.sum(|here| &here.stale) == 0,
        "a living owner is stale"
    );
    for f in &maps {
        assert!(f.get(owners[0]).is_none());
        assert!(f.elements() == u64::from(f.get(owners[1]).is_some()));
    }
    drop(maps);
    assert!(owners[1].charge_now() == 0);
}

/// The scenarios that shuttle runs.
pub(super) fn random() -> Vec<Random> {
    vec![Random::new("anything", &one_lock_fails(12), anything)]
}
