// SPDX-License-Identifier: GPL-2.0

//! How much may wait to be freed, on one CPU but where it says so.

use crate::{
    explore::{
        runtime,
        Explore, //
    },
    mock::{
        Mock,
        PLACES, //
    },
    storage::{
        create::Mode,
        element::Element,
        error::Refusal,
        map::{
            ByteMap,
            Map, //
        },
        pending::Watermarks, //
    },
    sync::{
        deferred,
        fault::{
            self,
            Plan,
            Site, //
        },
        nolock,
        rcu, //
    },
};
use kernel::prelude::*;
use std::{
    cell::{
        Cell,
        RefCell, //
    },
    sync::Arc, //
};

/// Bytes of an element here. Sixteen are what is counted in one piece.
const ELEMENT: usize = 4096;

const KIB: u64 = 1024;

/// Grace periods are hurried from 16 elements on, and nothing is created from 32 on.
fn watermarks() -> Watermarks {
    Watermarks::new(64, 128)
}

/// The watermarks are parts of memory, not too small ones, or what is wanted.
fn defaults() {
    let of = |memory, hurry, limit| {
        nolock::set_memory(memory);
        let watermarks = Watermarks::new(hurry, limit);
        (watermarks.expedite, watermarks.limit)
    };
    assert!(of(1 << 34, 0, 0) == (1 << 24, 1 << 27));
    assert!(of(1 << 20, 0, 0) == (1 << 20, 4 << 20));
    assert!(of(1 << 34, 64, 0) == (64 * KIB, 1 << 27));
    assert!(of(1 << 34, 0, 1 << 20) == (1 << 24, 1 << 30));
    assert!(of(1 << 34, 16, 64) == (16 * KIB, 64 * KIB));
    // Nothing is refused before it is hurried.
    assert!(of(1 << 34, 64, 16) == (64 * KIB, 64 * KIB));
}

/// A map whose elements are as large as it says above, an owner, and an element of that which keeps
/// its storage.
struct Case {
    map: ByteMap,
    _keep: ByteMap,
    owner: &'static Mock,
}

impl Case {
    fn new() -> Self {
        let case = Self {
            map: ByteMap::new(ELEMENT - size_of::<Element>()).expect("no map"),
            _keep: ByteMap::new(1).expect("no map"),
            owner: Mock::new(PLACES[0], 1, None),
        };
        let rcu = rcu::read_lock();
        assert!(case._keep.put(case.owner, Mode::Get, &[], &rcu).is_ok());
        drop(rcu);
        case
    }

    fn put(&self, mode: Mode) -> Result<bool, Refusal> {
        let rcu = rcu::read_lock();
        Ok(self.map.put(self.owner, mode, &[], &rcu)?.created)
    }

    /// Replaces the element so often.
    fn replace(&self, times: usize) {
        for _ in 0..times {
            assert!(self.put(Mode::Exist) == Ok(false));
        }
    }

    fn nomem(&self) -> u64 {
        self.map.raw().counters().nomem.get()
    }
}

/// Lets the reaper do what it was asked for, which nobody waits for.
fn reap() {
    machine::work::flush_all();
}

/// Nothing is created while too much waits, and what is there can still be had.
fn full() {
    let case = Case::new();
    assert!(case.put(Mode::NoExist) == Ok(true));
    case.replace(32);
    assert!(runtime().pending() == (32, 32 * ELEMENT as u64));
    assert!(runtime().pending_limit() == 128 * KIB);
    assert!(case.put(Mode::Exist) == Err(Refusal::NoMemory) && case.nomem() == 1);
    assert!(case.put(Mode::Get) == Ok(false));
    assert!(case.put(Mode::NoExist) == Err(Refusal::Exists));
    reap();
    assert!(runtime().pending() == (0, 0));
    case.replace(32);
    assert!(case.put(Mode::Exist) == Err(Refusal::NoMemory));
    // What waits is counted in whole steps of 16, from the first element on that there ever was: 71
    // of them are gone, and with 25 more the second step above the 64th is passed.
    reap();
    case.replace(7);
    reap();
    case.replace(25);
    assert!(case.put(Mode::Exist) == Err(Refusal::NoMemory));
    assert!(runtime().pending() == (25, 25 * ELEMENT as u64));
    reap();
}

/// Whoever waits, and what waits above the first mark, hurries the reaper.
fn hurried() {
    let case = Arc::new(Case::new());
    assert!(case.put(Mode::NoExist).is_ok());
    case.replace(15);
    assert!(!deferred::was_urgent(), "hurried too early");
    reap();
    assert!(rcu::expedited() == 0, "hurried too early");
    case.replace(1);
    runtime().flush();
    assert!(rcu::expedited() == 1, "a waiter does not hurry");
    case.replace(16);
    assert!(!deferred::was_urgent());
    // Another CPU's list is empty yet.
    let other = case.clone();
    machine::spawn(move || other.replace(1)).join();
    assert!(deferred::was_urgent(), "not hurried");
    // The first CPU's grace period is hurried, and with that over little waits.
    reap();
    assert!(rcu::expedited() == 2, "not hurried");
    case.replace(1);
    assert!(!deferred::was_urgent());
    reap();
    assert!(rcu::expedited() == 2);
}

/// Runs `op` with patience, and returns its result and how often it ran.
fn retried(case: &Case, mut op: impl FnMut() -> Result<bool, Refusal>) -> (Result<bool>, u32) {
    let mut runs = 0;
    let result = case.map.raw().retry_after_reap(|| {
        runs += 1;
        Ok(op()?)
    });
    (result, runs)
}

/// Who may sleep waits for room.
fn retry() {
    let case = Case::new();
    let fail = |calls| fault::begin(Plan::NONE.fail(Site::ElementAlloc, calls));
    assert!(retried(&case, || case.put(Mode::NoExist)) == (Ok(true), 1));
    // Another reason than memory is no reason to wait.
    case.replace(1);
    assert!(retried(&case, || case.put(Mode::NoExist)) == (Err(EEXIST), 1));
    assert!(runtime().pending().0 == 1 && case.nomem() == 0);
    // Room comes by waiting, and the first refusal is none.
    case.replace(31);
    assert!(retried(&case, || case.put(Mode::Exist)) == (Ok(false), 2));
    assert!(case.nomem() == 0 && runtime().pending().0 == 1);
    fail(1);
    assert!(retried(&case, || case.put(Mode::Exist)) == (Ok(false), 2));
    // Memory is not to be had at all: it is tried once more if something was dead.
    fail(u64::MAX);
    assert!(retried(&case, || case.put(Mode::Exist)) == (Err(ENOMEM), 2));
    assert!(case.nomem() == 1 && runtime().pending() == (0, 0));
    assert!(retried(&case, || case.put(Mode::Exist)) == (Err(ENOMEM), 1));
    assert!(case.nomem() == 2);
    fail(0);
    // Something is dead each time, but it is not too much.
    let litter = || {
        case.replace(1);
        fail(1);
        case.put(Mode::Exist)
    };
    assert!(retried(&case, litter) == (Err(ENOMEM), 2));
    assert!(case.nomem() == 3);
    // Others use up all that is freed.
    fail(0);
    let refill = || loop {
        case.put(Mode::Exist)?;
    };
    assert!(retried(&case, refill) == (Err(ENOMEM), 9));
    assert!(case.nomem() == 4);
}

thread_local! {
    /// The map of the values below, and for each that was dropped whether there was room for another
    /// one then.
    static LARGE: RefCell<Option<Arc<Map<Large>>>> = const { RefCell::new(None) };
    static ROOM_SEEN: RefCell<Vec<bool>> = const { RefCell::new(Vec::new()) };
    static LOOKS: Cell<bool> = const { Cell::new(false) };
}

/// Makes an element as large as it says above, and looks for room when it is dropped.
struct Large(
    #[expect(dead_code, reason = "it is to be large")] [u8; ELEMENT - size_of::<Element>()],
);

impl Large {
    fn new() -> Self {
        Self([0; ELEMENT - size_of::<Element>()])
    }
}

impl Drop for Large {
    fn drop(&mut self) {
        if !LOOKS.get() {
            return;
        }
        // What is refused is dropped as well.
        LOOKS.set(false);
        let map = LARGE.with(|large| large.borrow().clone()).expect("no map");
        let owner = Mock::new(PLACES[1], 9, None);
        let rcu = rcu::read_lock();
        let stored = map.update(owner, Mode::Any, Self::new(), &rcu);
        let has_room = stored.is_ok();
        if has_room {
            assert!(map.delete(owner, &rcu).is_ok());
        }
        ROOM_SEEN.with(|seen| seen.borrow_mut().push(has_room));
        LOOKS.set(ROOM_SEEN.with(|seen| seen.borrow().len()) < 2);
    }
}

/// What waits for the drops of a map keeps that map from growing, and no other one.
fn drops() {
    let map = Arc::new(Map::<Large>::new().expect("no map"));
    LARGE.with(|large| *large.borrow_mut() = Some(map.clone()));
    ROOM_SEEN.with(|seen| seen.borrow_mut().clear());
    let owners: Vec<_> = (0..33)
        .map(|n| Mock::new(PLACES[0] + n * 0x1000, 1, None))
        .collect();
    let rcu = rcu::read_lock();
    for owner in &owners {
        assert!(map.get_or_create(*owner, Large::new, &rcu).is_ok());
    }
    for owner in &owners {
        assert!(map.delete(*owner, &rcu).is_ok());
    }
    drop(rcu);
    LOOKS.set(true);
    runtime().flush();
    // With the first one dropped there are 32 left, and then one less.
    ROOM_SEEN.with(|seen| assert!(*seen.borrow() == [false, true]));
    LARGE.with(|large| large.borrow_mut().take());
}

#[test]
fn bounds() {
    let scenarios: [(&str, fn()); 5] = [
        ("defaults", defaults),
        ("full", full),
        ("hurried", hurried),
        ("retry", retry),
        ("drops", drops),
    ];
    for (name, scenario) in scenarios {
        Explore::new(name).watermarks(watermarks).once(scenario);
    }
}
