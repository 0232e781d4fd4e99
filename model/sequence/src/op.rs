// SPDX-License-Identifier: GPL-2.0

//! The operations, and the likelihood of each.

use proptest::{
    collection::vec,
    prelude::*, //
};

/// The number of places for owners. At most one owner lives at a place.
pub const OWNERS: usize = 4;

/// The number of places for maps. At most one map is open at a place.
pub const MAPS: usize = 3;

/// What an update does if the owner has an element, and if it has none.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Replaces the element, or creates one.
    Any,
    /// Refuses, or creates an element.
    NoExist,
    /// Replaces the element, or refuses.
    Exist,
}

/// An operation. It names owners and maps by their places.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Op {
    /// Looks up the owner's value.
    Get { map: usize, owner: usize },
    /// Gets the owner's value, or creates one.
    Create {
        map: usize,
        owner: usize,
        value: u64,
    },
    /// Stores a value.
    Update {
        map: usize,
        owner: usize,
        mode: Mode,
        value: u64,
    },
    /// Deletes the owner's value.
    Delete { map: usize, owner: usize },
    /// Deletes the owner's value and returns it.
    Take { map: usize, owner: usize },
    /// Lists all values of a map.
    List { map: usize },
    /// Lists all values of an owner.
    ListOwner { owner: usize },
    /// Kills the owner.
    Kill { owner: usize },
    /// Kills the owner, and makes another one at its place.
    Renew { owner: usize },
    /// Closes a map.
    Close { map: usize },
    /// Closes a map, and opens another one at its place.
    Reopen { map: usize },
    /// Waits until everything that is dead was freed.
    Settle,
}

/// What a step makes fail, if the subject can do that.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The lock of a storage, taken to link.
    LinkLock,
    /// The lock of a storage, taken to unlink.
    UnlinkLock,
    /// The lock of a bucket of a map.
    BucketLock,
    /// The lock of a bucket of the owner index.
    IndexLock,
    /// The memory of an element.
    ElementAlloc,
    /// The memory of a storage.
    StorageAlloc,
}

/// An operation, and the faults that occur during it. Each occurs when its lock is first taken, or
/// its memory first allocated.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// The operation.
    pub op: Op,
    /// The faults.
    pub faults: Vec<Fault>,
}

fn op() -> impl Strategy<Value = Op> {
    let (map, owner, value) = (0..MAPS, 0..OWNERS, 1..1000u64);
    let element = (map.clone(), owner.clone());
    let stored = (map.clone(), owner.clone(), value);
    let mode = prop_oneof![Just(Mode::Any), Just(Mode::NoExist), Just(Mode::Exist)];
    prop_oneof![
        10 => element.clone().prop_map(|(map, owner)| Op::Get { map, owner }),
        20 => stored.clone()
            .prop_map(|(map, owner, value)| Op::Create { map, owner, value }),
        20 => (stored, mode)
            .prop_map(|((map, owner, value), mode)| Op::Update { map, owner, mode, value }),
        10 => element.clone().prop_map(|(map, owner)| Op::Delete { map, owner }),
        10 => element.prop_map(|(map, owner)| Op::Take { map, owner }),
        4 => map.clone().prop_map(|map| Op::List { map }),
        4 => owner.clone().prop_map(|owner| Op::ListOwner { owner }),
        1 => owner.clone().prop_map(|owner| Op::Kill { owner }),
        4 => owner.prop_map(|owner| Op::Renew { owner }),
        1 => map.clone().prop_map(|map| Op::Close { map }),
        3 => map.prop_map(|map| Op::Reopen { map }),
        2 => Just(Op::Settle),
    ]
}

fn faults() -> impl Strategy<Value = Vec<Fault>> {
    let fault = prop_oneof![
        Just(Fault::LinkLock),
        Just(Fault::UnlinkLock),
        Just(Fault::BucketLock),
        Just(Fault::IndexLock),
        Just(Fault::ElementAlloc),
        Just(Fault::StorageAlloc),
    ];
    prop_oneof![
        3 => Just(Vec::new()),
        1 => vec(fault, 1..4),
    ]
}

/// Sequences of `most` steps at most.
pub(crate) fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    vec(
        (op(), faults()).prop_map(|(op, faults)| Step { op, faults }),
        1..=most,
    )
}
