// SPDX-License-Identifier: GPL-2.0

//! Walks of a chain to which members are pushed and from which members leave: what a walk sees, and
//! how long it takes. And the time for which a CPU that takes a member out holds the lock.

use super::{
    neighbours_of,
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
        lock_mode::Spin,
        owner::{
            Owner,
            OwnerId, //
        },
        table::{
            Node,
            Table, //
        },
    },
    sync::{
        fault::Site,
        hlist::{
            HListHead,
            HNode, //
        },
        rcu,
        res_lock, //
    },
};
use std::{
    alloc::Layout,
    cell::Cell,
    ptr::{
        self,
        NonNull, //
    },
    sync::{
        atomic::{
            AtomicU64,
            Ordering, //
        },
        Arc, //
    }, //
};

/// A member that stays to the end of the execution.
fn member<T>(new: T) -> &'static T {
    let memory = machine::alloc(Layout::new::<T>(), false).cast::<T>();
    // SAFETY: The memory was allocated for a `T`, and is not freed.
    unsafe {
        memory.write(new);
        &*memory
    }
}

/// A table of one bucket, and the members for it.
struct Bucket {
    table: Table,
    nodes: Vec<&'static Node>,
}

impl Bucket {
    /// Members for owners with these serial numbers. The first `members` of them are pushed.
    fn new(serials: &[u64], members: usize) -> Arc<Self> {
        let new = |&serial| member(Node::new(Self::id(serial)));
        let bucket = Self {
            table: Table::new(0).expect("no table"),
            nodes: serials.iter().map(new).collect(),
        };
        (0..members).for_each(|n| bucket.push(n));
        Arc::new(bucket)
    }

    fn id(serial: u64) -> OwnerId {
        Mock::new(PLACES[0], serial, None).id()
    }

    fn push(&self, n: usize) {
        let rcu = rcu::read_lock();
        // SAFETY: Each member is pushed once, and stays to the end of the execution.
        unsafe { self.table.push(NonNull::from(self.nodes[n]), &rcu) };
    }

    fn kill(&self, n: usize) {
        assert!(self.nodes[n].claim(Site::ElementClaim));
    }

    /// Takes out a dead member.
    fn unlink(&self, n: usize) {
        let (node, rcu) = (NonNull::from(self.nodes[n]), rcu::read_lock());
        // SAFETY: The node is a member, and the caller has claimed it.
        let unlinked = unsafe {
            self.table
                .unlink::<Spin>(node, Site::BucketLock, || (), &rcu)
        };
        assert!(unlinked);
    }

    /// The index of a member.
    fn place(&self, node: &Node) -> usize {
        let this = |other: &&Node| ptr::eq(*other, node);
        self.nodes
            .iter()
            .position(this)
            .expect("no member of this test")
    }

    /// Looks for an owner that is not there, and returns how often each member was visited.
    fn visits(&self) -> Vec<u32> {
        let visits = vec![Cell::new(0); self.nodes.len()];
        let visit = |node: &Node| {
            let visits = &visits[self.place(node)];
            visits.set(visits.get() + 1);
            false
        };
        let (id, rcu) = (Self::id(99), rcu::read_lock());
        assert!(self.table.find_by(id.addr(), visit, &rcu).is_none());
        visits.iter().map(Cell::get).collect()
    }

    /// The members, from the one that was pushed last on.
    fn members(&self) -> Vec<usize> {
        let rcu = rcu::read_lock();
        let members = self.table.iter(0, &rcu);
        members.map(|node| self.place(node)).collect()
    }
}

/// Members are pushed: no member is visited twice.
fn walk_and_pushes() {
    let bucket = Bucket::new(&[1, 2, 3, 4], 2);
    let other = bucket.clone();
    let thread = machine::spawn(move || {
        other.push(2);
        other.push(3);
    });
    let visits = bucket.visits();
    assert!(visits[..2] == [1, 1], "visited twice: {visits:?}");
    assert!(visits[2..].iter().all(|visits| *visits <= 1));
    thread.join();
}

/// The member at which the walk began is taken out while others are pushed: no other one is visited
/// twice.
fn walk_and_first_leaves() {
    let bucket = Bucket::new(&[1, 2, 3, 4], 2);
    let other = bucket.clone();
    let thread = machine::spawn(move || {
        other.push(2);
        other.kill(1);
        other.unlink(1);
        other.push(3);
    });
    let visits = bucket.visits();
    assert!(visits[0] == 1, "visited twice: {visits:?}");
    assert!(visits[1] <= 2 && visits[2..].iter().all(|visits| *visits <= 1));
    thread.join();
    assert!(bucket.members() == [3, 2, 0]);
}

/// Members are pushed, and the first members of the walk are taken out, the first one first: a
/// member that stays is visited once.
fn walk_and_all_leave() {
    let bucket = Bucket::new(&[1, 2, 3, 4], 3);
    let other = bucket.clone();
    let thread = machine::spawn(move || {
        other.push(3);
        for n in [2, 1] {
            other.kill(n);
            other.unlink(n);
        }
    });
    let visits = bucket.visits();
    assert!(visits[0] == 1, "visited twice: {visits:?}");
    assert!(visits[3] <= 1 && visits.iter().all(|visits| *visits <= 2));
    thread.join();
    assert!(bucket.members() == [3, 0]);
}

/// The member of one owner is replaced twice: a lookup finds one of the three.
fn lookup_and_replacements() {
    let bucket = Bucket::new(&[7, 1, 1, 1], 2);
    let other = bucket.clone();
    let thread = machine::spawn(move || {
        for n in [2, 3] {
            other.push(n);
            other.kill(n - 1);
            other.unlink(n - 1);
        }
    });
    {
        let rcu = rcu::read_lock();
        let found = bucket.table.find(Bucket::id(1), &rcu);
        assert!(found.is_some(), "a miss in an update");
    }
    thread.join();
    assert!(bucket.members() == [3, 0]);
}

/// An update has pushed a new member of one owner, and not claimed the old one yet. The new one is
/// deleted: no lookup finds it and then the old one.
fn lookups_and_delete() {
    let bucket = Bucket::new(&[1, 1], 2);
    let other = bucket.clone();
    let thread = machine::spawn(move || {
        let rcu = rcu::read_lock();
        other.table.hide_older(other.nodes[1], &rcu);
        other.kill(1);
    });
    {
        let rcu = rcu::read_lock();
        let find = || bucket.table.find(Bucket::id(1), &rcu);
        let found = [find(), find()].map(|found| Some(bucket.place(found?)));
        assert!(found[1] != Some(0), "{found:?}: the old one is found again");
    }
    thread.join();
}

/// A list whose members leave, and to which others are pushed, all by one thread.
fn list_and_changes() {
    let list = Arc::new(HListHead::new());
    let nodes: Vec<_> = (0..4).map(|_| member(HNode::new())).collect();
    // SAFETY: One thread at a time changes the list, and each node is pushed once.
    let push = |list: &HListHead, node| unsafe { list.assume_locked().push(NonNull::from(node)) };
    push(&list, nodes[0]);
    push(&list, nodes[1]);
    let (other, theirs) = (list.clone(), nodes.clone());
    let thread = machine::spawn(move || {
        push(&other, theirs[2]);
        // SAFETY: As above, and the node is a member.
        unsafe { other.assume_locked().remove(NonNull::from(theirs[1])) };
        push(&other, theirs[3]);
    });
    {
        let rcu = rcu::read_lock();
        let seen: Vec<_> = list.catch_up(&rcu).map(ptr::from_ref).collect();
        let visits = |node: &HNode| seen.iter().filter(|seen| ptr::eq(**seen, node)).count();
        let visits: Vec<_> = nodes.iter().map(|node| visits(node)).collect();
        assert!(visits[0] == 1, "visited twice: {visits:?}");
        assert!(visits[1] <= 2 && visits[2..].iter().all(|visits| *visits <= 1));
    }
    thread.join();
}

/// Two neighbours are taken out at the same time, from a chain that grows.
fn neighbours_leave() {
    let bucket = Bucket::new(&[1, 2, 3, 4], 3);
    let (one, two) = (bucket.clone(), bucket.clone());
    let leaves = machine::spawn(move || {
        one.kill(2);
        one.unlink(2);
    });
    let comes = machine::spawn(move || two.push(3));
    bucket.kill(1);
    bucket.unlink(1);
    leaves.join();
    comes.join();
    assert!(bucket.members() == [3, 0], "a member is lost, or left");
}

/// The number of steps of the longest critical section while one of so many members is taken out.
fn section(members: usize) -> u64 {
    let serials: Vec<_> = (0..members as u64).collect();
    let bucket = Bucket::new(&serials, serials.len());
    res_lock::begin();
    bucket.kill(0);
    bucket.unlink(0);
    res_lock::longest()
}

/// The same for an owner that is created and dies, and whose element is replaced, deleted and
/// created. Before each operation so many other owners get an element in its buckets.
fn sections_of_an_owner(others: usize) -> u64 {
    let (f, keep) = (Fixture::new(), Fixture::new());
    let owner = Mock::new(PLACES[0], 1, Some(ROOM));
    let mut neighbours = neighbours_of(PLACES[0], &f);
    let mut others_come = || {
        for other in neighbours.by_ref().take(others) {
            assert!(f.create(other, 1).is_ok());
        }
    };
    res_lock::begin();
    others_come();
    assert!(keep.create(owner, 1).is_ok());
    others_come();
    assert!(f.create(owner, 1).is_ok());
    others_come();
    assert!(f.update(owner, Mode::Any, 2) == Ok(false));
    others_come();
    assert!(f.delete(owner) == Ok(2));
    assert!(f.create(owner, 3).is_ok());
    others_come();
    assert!(owner.die());
    let longest = res_lock::longest();
    drop(neighbours);
    drop((f, keep));
    longest
}

#[test]
fn overtaken_loom() {
    Explore::new("walk, pushes").loom(NO_FAULTS, walk_and_pushes);
    Explore::new("walk, its first member leaves").loom(NO_FAULTS, walk_and_first_leaves);
    Explore::new("walk, its first members leave").loom(NO_FAULTS, walk_and_all_leave);
    Explore::new("lookup, two replacements").loom(NO_FAULTS, lookup_and_replacements);
    Explore::new("two lookups, delete").loom(NO_FAULTS, lookups_and_delete);
    Explore::new("walk of a list, changes").loom(NO_FAULTS, list_and_changes);
}

#[test]
fn neighbours_leave_loom() {
    Explore::new("two neighbours leave").loom(NO_FAULTS, neighbours_leave);
}

#[test]
fn sections_do_not_grow() {
    for section in [section, sections_of_an_owner] {
        let steps = [2, 20].map(|others| {
            let steps = Arc::new(AtomicU64::new(0));
            let longest = steps.clone();
            Explore::new("the longest section").once(move || {
                longest.store(section(others), Ordering::Relaxed);
            });
            steps.load(Ordering::Relaxed)
        });
        assert!(steps[0] == steps[1], "{steps:?} steps of 2 and of 20");
    }
}

/// The scenarios that shuttle runs.
pub(super) fn random() -> Vec<Random> {
    vec![
        Random::new("walk and all leave", NO_FAULTS, walk_and_all_leave),
        Random::new(
            "lookup and replacements",
            NO_FAULTS,
            lookup_and_replacements,
        ),
        Random::new("neighbours leave", NO_FAULTS, neighbours_leave),
    ]
}
