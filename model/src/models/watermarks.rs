// SPDX-License-Identifier: GPL-2.0

//! The bounds on what waits to be freed. On one CPU, except where a second one is started.

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
        pending::Watermarks,
        reserve::Reserve, //
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
    ptr::NonNull,
    sync::Arc, //
};

/// The size of an element in bytes. 16 of these are a step of [`Pending`](crate::storage::pending).
const ELEMENT: usize = 4096;

const KIB: u64 = 1024;

/// Grace periods are expedited from 16 elements on, and nothing is created from 32 on.
fn watermarks() -> Watermarks {
    Watermarks::new(64, 128)
}

/// Default watermarks are fractions of the memory, with a minimum. Others are as they were set.
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
    // The limit is not below the watermark from which grace periods are expedited.
    assert!(of(1 << 34, 64, 16) == (64 * KIB, 64 * KIB));
}

/// A map whose elements have the size [`ELEMENT`], an owner, and an element of the owner in another
/// map, which keeps its storage.
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

    /// Replaces the element so many times.
    fn replace(&self, times: usize) {
        for _ in 0..times {
            assert!(self.put(Mode::Exist) == Ok(false));
        }
    }

    fn nomem(&self) -> u64 {
        self.map.raw().counters().nomem.get()
    }
}

/// Lets the reaper run the works that are queued. A wait in [`runtime`]'s flush would expedite
/// them.
fn reap() {
    machine::work::flush_all();
}

/// While too much waits nothing is created but from a reserve. An element that exists is returned.
fn full() {
    let case = Case::new();
    assert!(case.put(Mode::NoExist) == Ok(true));
    case.replace(32);
    assert!(runtime().pending() == (32, 32 * ELEMENT as u64));
    assert!(runtime().pending_limit() == 128 * KIB);
    assert!(case.put(Mode::Exist) == Err(Refusal::NoMemory) && case.nomem() == 1);
    assert!(case.put(Mode::Get) == Ok(false));
    assert!(case.put(Mode::NoExist) == Err(Refusal::Exists));
    let (other, mut reserve) = (Mock::new(PLACES[1], 1, None), Reserve::new(case.map.raw()));
    assert!(reserve.fill(1).is_ok());
    let rcu = rcu::read_lock();
    // SAFETY: `put_from` calls this with memory for a value, of which all bytes are written.
    let init = |to: NonNull<u8>| unsafe { to.write_bytes(0, ELEMENT - size_of::<Element>()) };
    let raw = case.map.raw();
    // SAFETY: `init` writes a value.
    let stored = unsafe { raw.put_from(&reserve, other, Mode::Get, init, &rcu) };
    assert!(stored.is_ok_and(|stored| stored.created));
    drop(rcu);
    reap();
    assert!(runtime().pending() == (0, 0));
    case.replace(32);
    assert!(case.put(Mode::Exist) == Err(Refusal::NoMemory));
    // What waits is counted in steps of 16 elements, from the first one that was handed over: 71
    // were freed, and 25 more pass the second multiple of 16 above 64.
    reap();
    case.replace(7);
    reap();
    case.replace(25);
    assert!(case.put(Mode::Exist) == Err(Refusal::NoMemory));
    assert!(runtime().pending() == (25, 25 * ELEMENT as u64));
    reap();
}

/// A waiter, and what waits above the first watermark, expedites grace periods.
fn hurried() {
    let case = Arc::new(Case::new());
    assert!(case.put(Mode::NoExist).is_ok());
    case.replace(15);
    assert!(!deferred::was_urgent(), "expedited too early");
    reap();
    assert!(rcu::expedited() == 0, "expedited too early");
    case.replace(1);
    runtime().flush();
    assert!(rcu::expedited() == 1, "a waiter does not expedite");
    case.replace(16);
    assert!(!deferred::was_urgent());
    // The list of the other CPU is empty.
    let other = case.clone();
    machine::spawn(move || other.replace(1)).join();
    assert!(deferred::was_urgent(), "not expedited");
    // The grace period of the first CPU is expedited. After it little waits.
    reap();
    assert!(rcu::expedited() == 2, "not expedited");
    case.replace(1);
    assert!(!deferred::was_urgent());
    reap();
    assert!(rcu::expedited() == 2);
}

/// Runs `op` by [`RawMap::retry_after_reap`], and returns its result and how often it was run.
///
/// [`RawMap::retry_after_reap`]: crate::storage::raw_map::RawMap::retry_after_reap
fn retried(case: &Case, mut op: impl FnMut() -> Result<bool, Refusal>) -> (Result<bool>, u32) {
    let mut runs = 0;
    let result = case.map.raw().retry_after_reap(|| {
        runs += 1;
        Ok(op()?)
    });
    (result, runs)
}

/// A caller that may sleep waits until memory was freed.
fn retry() {
    let case = Case::new();
    let fail = |calls| fault::begin(Plan::NONE.fail(Site::ElementAlloc, calls));
    assert!(retried(&case, || case.put(Mode::NoExist)) == (Ok(true), 1));
    // No other refusal is retried.
    case.replace(1);
    assert!(retried(&case, || case.put(Mode::NoExist)) == (Err(EEXIST), 1));
    assert!(runtime().pending().0 == 1 && case.nomem() == 0);
    // The reaper frees memory, and the refusal before is not counted.
    case.replace(31);
    assert!(retried(&case, || case.put(Mode::Exist)) == (Ok(false), 2));
    assert!(case.nomem() == 0 && runtime().pending().0 == 1);
    fail(1);
    assert!(retried(&case, || case.put(Mode::Exist)) == (Ok(false), 2));
    // There is no memory at all. There is one more try if something was dead.
    fail(u64::MAX);
    assert!(retried(&case, || case.put(Mode::Exist)) == (Err(ENOMEM), 2));
    assert!(case.nomem() == 1 && runtime().pending() == (0, 0));
    assert!(retried(&case, || case.put(Mode::Exist)) == (Err(ENOMEM), 1));
    assert!(case.nomem() == 2);
    fail(0);
    // Something is dead at each try, but less than the limit.
    let litter = || {
        case.replace(1);
        fail(1);
        case.put(Mode::Exist)
    };
    assert!(retried(&case, litter) == (Err(ENOMEM), 2));
    assert!(case.nomem() == 3);
    // Each try uses up all that was freed.
    fail(0);
    let refill = || loop {
        case.put(Mode::Exist)?;
    };
    assert!(retried(&case, refill) == (Err(ENOMEM), 9));
    assert!(case.nomem() == 4);
}

thread_local! {
    /// The map of the values below. For each value that was dropped: whether there was room for
    /// another one.
    static LARGE: RefCell<Option<Arc<Map<Large>>>> = const { RefCell::new(None) };
    static ROOM_SEEN: RefCell<Vec<bool>> = const { RefCell::new(Vec::new()) };
    static LOOKS: Cell<bool> = const { Cell::new(false) };
}

/// A value that makes its element [`ELEMENT`] bytes large. Its drop checks whether there is room.
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
        // A value that could not be stored is dropped, too.
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

/// What waits for the drops of a map bounds that map, and no other one.
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
    // After the first drop 32 elements wait, and after the second one 31.
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
