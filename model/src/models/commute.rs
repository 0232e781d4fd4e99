// SPDX-License-Identifier: GPL-2.0

//! Operations on two owners that share nothing: the two CPUs write no common cache line, and
//! neither writes one that the other reads.

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
    storage::owner::Owner, //
};
use machine::lines::{
    self,
    accesses,
    conflicts, //
};
use std::{
    collections::BTreeSet,
    sync::Arc, //
};

/// The map of all operations, and one more, in which owners have an element or not.
struct Maps {
    map: Fixture,
    other: Fixture,
}

/// An operation of one CPU on an owner of its own.
struct Op {
    name: &'static str,
    /// Makes what the operation finds.
    prepare: fn(&Maps, &Mock),
    run: fn(&Maps, &Mock),
}

fn with_element(maps: &Maps, owner: &Mock) {
    assert!(maps.map.create(owner, 1) == Ok((1, true)));
}

fn with_storage(maps: &Maps, owner: &Mock) {
    assert!(maps.other.create(owner, 1) == Ok((1, true)));
}

fn with_both(maps: &Maps, owner: &Mock) {
    with_storage(maps, owner);
    with_element(maps, owner);
}

const OPS: [Op; 6] = [
    Op {
        name: "get",
        prepare: with_element,
        run: |maps, owner| assert!(maps.map.get(owner) == Some(1)),
    },
    Op {
        name: "get of nothing",
        prepare: |_, _| (),
        run: |maps, owner| assert!(maps.map.get(owner).is_none()),
    },
    Op {
        name: "create that finds",
        prepare: with_element,
        run: |maps, owner| assert!(maps.map.create(owner, 2) == Ok((1, false))),
    },
    Op {
        name: "delete",
        prepare: with_both,
        run: |maps, owner| assert!(maps.map.delete(owner) == Ok(1)),
    },
    Op {
        name: "last delete",
        prepare: with_element,
        run: |maps, owner| assert!(maps.map.delete(owner) == Ok(1)),
    },
    Op {
        name: "death",
        prepare: |maps, owner| {
            with_both(maps, owner);
            owner.leave();
        },
        run: |_, owner| assert!(owner.notice()),
    },
];

/// Two owners whose buckets are on two cache lines, in the map and in the owner index.
fn far_apart(map: &Fixture, new: fn(usize) -> &'static Mock) -> [&'static Mock; 2] {
    let runtime = runtime();
    let lines = |owner: &Mock| {
        lines::lines(&accesses(|| {
            assert!(map.get(owner).is_none() && !runtime.has_storage(owner.id()));
        }))
    };
    let owners: Vec<_> = (0..32).map(|n| new(PLACES[0] + n * 0x1000)).collect();
    let all: Vec<BTreeSet<usize>> = owners.iter().map(|owner| lines(owner)).collect();
    // What every lookup reads is no bucket.
    let of_no_owner = |line: &usize| all.iter().all(|lines| lines.contains(line));
    let buckets = |lines: &BTreeSet<usize>| -> BTreeSet<usize> {
        let buckets = lines.iter().filter(|line| !of_no_owner(line));
        buckets.copied().collect()
    };
    let first = buckets(&all[0]);
    let is_apart = |lines: &BTreeSet<usize>| buckets(lines).is_disjoint(&first);
    let other = all.iter().position(is_apart).expect("no such owner");
    [owners[0], owners[other]]
}

/// Runs the two operations on two CPUs. Fails if the two conflict.
fn check_pair(one: &'static Op, two: &'static Op, new: fn(usize) -> &'static Mock) {
    let maps = Arc::new(Maps {
        map: Fixture::new(),
        other: Fixture::new(),
    });
    let owners = far_apart(&maps.map, new);
    (one.prepare)(&maps, owners[0]);
    (two.prepare)(&maps, owners[1]);
    runtime().flush();
    let all = accesses(|| {
        let theirs = maps.clone();
        let thread = machine::spawn(move || (two.run)(&theirs, owners[1]));
        (one.run)(&maps, owners[0]);
        thread.join();
    });
    let conflicts = conflicts(&all);
    let list: Vec<String> = conflicts.iter().map(ToString::to_string).collect();
    assert!(
        list.is_empty(),
        "\"{}\" and \"{}\" share lines: {}",
        one.name,
        two.name,
        list.join("; ")
    );
}

fn check_all(name: &'static str, new: fn(usize) -> &'static Mock) {
    for (n, one) in OPS.iter().enumerate() {
        for two in &OPS[n..] {
            Explore::new(name).once(move || check_pair(one, two, new));
        }
    }
}

#[test]
fn operations_on_charged_owners_share_no_line() {
    check_all("charged", |addr| Mock::new(addr, 1, Some(ROOM)));
}

#[test]
fn operations_on_other_owners_share_no_line() {
    check_all("not charged", |addr| Mock::new(addr, 1, None));
    check_all("hints", |addr| Mock::hinted(addr, 1));
}
