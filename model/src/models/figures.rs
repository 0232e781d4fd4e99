// SPDX-License-Identifier: GPL-2.0

//! What users are told, on one CPU: identities, sizes, errors and counters.

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
    storage::{
        create::Mode,
        element::{
            Element,
            VALUE_SIZE_MAX, //
        },
        error::Refusal,
        map::{
            write_value,
            ByteMap,
            Map,
            OwnedMap, //
        },
        owner::{
            Owner,
            OwnerId,
            OwnerOps,
            Visits, //
        },
        raw_map::{
            RawMap,
            Values, //
        },
        reserve::Reserve,
        stats::MapShares,
        store::Storage,
        table::Table,
        walk::Cursor, //
    },
    sync::{
        deferred,
        fault::{
            self,
            Plan,
            Site, //
        },
        rcu::{
            self,
            Guard, //
        },
        res_lock::LockError,
        trace::{
            self,
            Event, //
        }, //
    },
};
use kernel::prelude::*;
use std::{
    cell::Cell,
    ffi::c_void,
    mem::ManuallyDrop,
    ptr::{
        self,
        NonNull, //
    },
    rc::Rc, //
};

/// Makes calls at these sites fail from here on: the `n`th one if bit `n` is set.
fn fail(sites: &[(Site, u64)]) {
    let plan = |plan: Plan, &(site, calls): &(Site, u64)| plan.fail(site, calls);
    fault::begin(sites.iter().fold(Plan::NONE, plan));
}

/// Kind and serial number tell owners apart, and an owner is found by its kind.
fn identities() {
    let f = Fixture::new();
    let free = Mock::new(PLACES[0], 5, None);
    let charged = Mock::new(PLACES[1], OwnerId::SERIAL_MAX, Some(ROOM));
    assert!(free.id().serial() == 5 && charged.id().serial() == OwnerId::SERIAL_MAX);
    for (owner, other) in [(free, charged), (charged, free)] {
        let at = |ops: &OwnerOps| runtime().owner_at(owner.id().addr(), ops);
        assert!(owner.id().is_of(owner.ops()) && !owner.id().is_of(other.ops()));
        assert!(!runtime().has_storage(owner.id()) && at(owner.ops()).is_none());
        let is_found = || f.0.raw().find(owner.id(), &rcu::read_lock()).is_some();
        assert!(!is_found() && f.create(owner, 1).is_ok() && is_found());
        assert!(runtime().has_storage(owner.id()));
        assert!(at(owner.ops()) == Some(owner.id()) && at(other.ops()).is_none());
    }
    let (mut cursor, rcu) = (Cursor::default(), rcu::read_lock());
    let mut listed: Vec<_> = std::iter::from_fn(|| f.0.raw().next(&mut cursor, &rcu))
        .map(|(_, label)| (label.kind, label.id))
        .collect();
    listed.sort_unstable();
    let shown = |owner: &Mock| (owner.ops().kind, owner.id().serial());
    assert!(listed == [shown(free), shown(charged)]);
    drop(rcu);
    // The notice of death of an owner without a storage does nothing.
    assert!(f.delete(free).is_ok() && !runtime().has_storage(free.id()));
    assert!(!free.die() && charged.die());
    assert!(runtime().stats.sum(|here| &here.owner_deaths) == 1);
}

/// An owner gets another identity, and its elements are found by that one.
fn renamed() {
    let (f, g) = (Fixture::new(), Fixture::new());
    let (from, to) = (Mock::new(PLACES[0], 1, None), Mock::new(PLACES[0], 2, None));
    assert!(f.create(from, 1).is_ok() && g.create(from, 2).is_ok());
    runtime().rename(from.id(), to.id());
    assert!(f.get(from).is_none() && f.get(to) == Some(1) && g.get(to) == Some(2));
    assert!(runtime().has_storage(to.id()) && !runtime().has_storage(from.id()));
}

/// All that is allocated is counted in a size in bytes.
fn sizes() {
    const SIZE: usize = 24;
    let stats = &runtime().stats;
    let (one, two) = (
        ByteMap::new(SIZE).expect("no map"),
        ByteMap::new_cloning(SIZE).expect("no map"),
    );
    let (one, clones) = (one.raw(), two.raw());
    assert!(clones.id() == one.id() + 1 && clones.clones() && !one.clones());
    assert!(one.value_size() == SIZE && one.element_size() == size_of::<Element>() + SIZE);
    assert!(one.buckets() == 16);
    // There are two CPUs.
    let counters = 2 * size_of::<MapShares>();
    let own = (size_of::<RawMap>() + 16 * Table::BUCKET_SIZE + counters) as u64;
    let element = one.element_size() as u64;
    let storage = size_of::<Storage>() as u64;
    assert!(one.bytes() == own && stats.bytes() == 2 * own);
    let owners = PLACES.map(|place| Mock::new(place, 1, None));
    let store = |owner, mode| two.put(owner, mode, &[7], &rcu::read_lock()).is_ok();
    assert!(store(owners[0], Mode::NoExist) && store(owners[1], Mode::NoExist));
    assert!(clones.unfreed() == 2 && clones.bytes() == own + 2 * element);
    assert!(stats.bytes() == 2 * (own + element + storage));
    // An element that was replaced counts until it is freed.
    assert!(store(owners[0], Mode::Exist));
    assert!(clones.unfreed() == 3 && clones.bytes() == own + 3 * element);
    assert!(runtime().pending() == (1, element));
    runtime().flush();
    assert!(clones.unfreed() == 2 && runtime().pending() == (0, 0));
    assert!(stats.bytes() == 2 * (own + element + storage));
    // If a value is stored in part, the rest is zeroes.
    let rcu = rcu::read_lock();
    let mut wanted = [0; SIZE];
    wanted[0] = 7;
    assert!(two.get_by_id(owners[0].id(), &rcu) == Some(&wanted[..]));
    assert!(two.delete_by_id(owners[0].id(), &rcu) == Ok(&wanted[..]));
    assert!(two.get_by_id(owners[0].id(), &rcu).is_none());
}

/// A value of which no byte is given is zeroes, whatever its size.
fn zeroes() {
    for size in [1, 7, 8, 9, 64, 248, 255, 256, 257, 264] {
        let mut words = [u64::MAX; 40];
        // SAFETY: There is memory for a value of each of these sizes.
        unsafe { write_value(NonNull::from(&mut words).cast(), size, &[]) };
        let bytes = words.map(u64::to_ne_bytes);
        let (value, rest) = bytes.as_flattened().split_at(size);
        assert!(value.iter().all(|&byte| byte == 0));
        assert!(rest.iter().all(|&byte| byte == 0xff));
    }
}

/// A map that cannot be made is refused, and leaves nothing allocated.
fn refused_maps() {
    assert!(ByteMap::new(0).err() == Some(EINVAL));
    assert!(ByteMap::new_cloning(VALUE_SIZE_MAX + 1).err() == Some(E2BIG));
    assert!(ByteMap::new(VALUE_SIZE_MAX).is_ok());
    for site in [Site::TableAlloc, Site::MapAlloc] {
        fail(&[(site, 1)]);
        assert!(ByteMap::new(8).err() == Some(ENOMEM));
    }
    assert!(runtime().stats.maps.get() == 0 && runtime().stats.bytes() == 0);
}

/// Creates from a reserve need no other memory, and are not refused while too much is pending.
fn reserves() {
    let (f, wide) = (Fixture::new(), ByteMap::new(512).expect("no map"));
    let owners = PLACES.map(|place| Mock::new(place, 1, None));
    let mut reserve = Reserve::new(f.0.raw());
    assert!(reserve.left() == 0);
    fail(&[(Site::ElementAlloc, 1 << 1)]);
    assert!(reserve.fill(2) == Err(ENOMEM) && reserve.left() == 0);
    fail(&[(Site::StorageAlloc, 1)]);
    assert!(reserve.fill(2) == Err(ENOMEM) && reserve.fill(2).is_ok());
    assert!(reserve.fill(1).is_ok() && reserve.left() == 2);
    fail(&[
        (Site::ElementAlloc, u64::MAX),
        (Site::StorageAlloc, u64::MAX),
    ]);
    assert!(f.create(owners[0], 1) == Err(Refusal::NoMemory));
    assert!(f.create_from(&reserve, owners[0], 1) == Ok((1, true)) && reserve.left() == 1);
    // What exists is returned, and needs no memory.
    assert!(f.create_from(&reserve, owners[0], 2) == Ok((1, false)) && reserve.left() == 1);
    let other = Reserve::new(wide.raw());
    assert!(f.create_from(&other, owners[1], 2) == Err(Refusal::NoMemory));
    assert!(f.create_from(&reserve, owners[1], 2) == Ok((2, true)) && reserve.left() == 0);
    let third = Mock::new(PLACES[0] + 0x1000, 1, None);
    assert!(f.create_from(&reserve, third, 3) == Err(Refusal::NoMemory));
    let storages = runtime().stats.sum(|here| &here.storages);
    assert!(storages == 2 && f.elements() == 2);
    // What is left of a reserve is freed with it.
    fail(&[]);
    assert!(reserve.fill(3).is_ok());
}

/// A map ends with the object that holds it, which need not be the one that made it.
fn holders() {
    let (typed, bytes) = (
        ManuallyDrop::new(Map::<u64>::new().expect("no map")),
        ManuallyDrop::new(ByteMap::new(8).expect("no map")),
    );
    let maps = || runtime().stats.maps.get();
    assert!(maps() == 2);
    // SAFETY: The map is not used again, and not dropped.
    drop(unsafe { typed.raw().holder() });
    assert!(maps() == 1);
    // SAFETY: As above.
    drop(unsafe { bytes.raw().holder() });
    assert!(maps() == 0);
}

/// Each refusal has an errno value of its own.
fn errors() {
    let errors = [
        (Refusal::from(LockError::Deadlock), EDEADLK),
        (Refusal::from(LockError::Timeout), ETIMEDOUT),
        (Refusal::NoMemory, ENOMEM),
        (Refusal::Exists, EEXIST),
        (Refusal::Missing, ENOENT),
        (Refusal::OwnerDead, ESRCH),
        (Refusal::Unsupported, EOPNOTSUPP),
    ];
    for (refusal, error) in errors {
        assert!(Error::from(refusal) == error);
    }
}

/// Each event in a map is counted.
fn counts() {
    let f = Fixture::cloning();
    let (counters, stats) = (f.0.raw().counters(), &runtime().stats);
    let owners: Vec<_> = (0..5)
        .map(|n| Mock::new(PLACES[0] + n * 0x1000, 1, Some(ROOM)))
        .collect();
    // With `Mode::Exist` and no element, nothing is allocated.
    assert!(f.update(owners[0], Mode::Exist, 0) == Err(Refusal::Missing));
    assert!(stats.sum(|here| &here.allocated) == 0);
    fail(&[
        (Site::ElementAlloc, 1),
        (Site::StorageAlloc, 1),
        (Site::LinkLock, 3),
    ]);
    let refusals = [
        Refusal::NoMemory,
        Refusal::NoMemory,
        Refusal::Lock(LockError::Deadlock),
        Refusal::Lock(LockError::Timeout),
    ];
    for refusal in refusals {
        assert!(f.create(owners[0], 1) == Err(refusal));
    }
    assert!(counters.nomem.get() == 2 && counters.deadlocks.get() == 1);
    assert!(counters.timeouts.get() == 1);
    // One of the four was refused before an element was allocated.
    assert!(stats.sum(|here| &here.allocated) == 3);
    assert!(f.create(owners[0], 1) == Ok((1, true)));
    assert!(f.update(owners[0], Mode::Any, 2) == Ok(false));
    assert!(f.update(owners[0], Mode::NoExist, 3) == Err(Refusal::Exists));
    assert!(counters.sum(|here| &here.created) == 2 && counters.sum(|here| &here.replaced) == 1);
    assert!(counters.elements() == 1);
    assert!(f.delete(owners[0]) == Ok(2));
    assert!(counters.sum(|here| &here.deleted) == 1 && counters.elements() == 0);
    // If the lock of a list or bucket cannot be taken, the reaper unlinks the element.
    runtime().flush();
    assert!(counters.sum(|here| &here.deferred) == 0 && stats.finished.get() == 0);
    for site in [Site::UnlinkLock, Site::BucketLock] {
        assert!(f.create(owners[0], 1).is_ok());
        fail(&[(site, 1)]);
        assert!(f.delete(owners[0]) == Ok(1));
    }
    assert!(counters.sum(|here| &here.deferred) == 2 && stats.sum(|here| &here.deferred) == 2);
    runtime().flush();
    assert!(stats.finished.get() == 2);
    fail(&[(Site::IndexLock, 1)]);
    assert!(f.create(owners[0], 1).is_ok() && f.delete(owners[0]) == Ok(1));
    assert!(counters.sum(|here| &here.deferred) == 2 && stats.sum(|here| &here.deferred) == 3);
    runtime().flush();
    assert!(stats.finished.get() == 3);
    // Two owners are created from another one, and one of the copies cannot be made.
    assert!(f.create(owners[1], 4).is_ok());
    runtime().inherit(owners[1].id(), owners[2]);
    assert!(
        counters.sum(|here| &here.clones) == 1 && counters.sum(|here| &here.clone_failures) == 0
    );
    fail(&[(Site::ElementAlloc, 1)]);
    runtime().inherit(owners[1].id(), owners[3]);
    assert!(
        counters.sum(|here| &here.clones) == 1 && counters.sum(|here| &here.clone_failures) == 1
    );
    assert!(f.get(owners[2]) == Some(4) && f.get(owners[3]).is_none());
    // From an owner without values nothing is copied.
    runtime().inherit(owners[3].id(), owners[4]);
    assert!(f.get(owners[4]).is_none() && counters.sum(|here| &here.clones) == 1);
    // A notice of death takes the locks that are free.
    assert!(owners[1].die());
    assert!(
        counters.sum(|here| &here.owner_deaths) == 1 && stats.sum(|here| &here.owner_deaths) == 1
    );
    assert!(counters.sum(|here| &here.deferred) == 2 && stats.sum(|here| &here.deferred) == 3);
    // All elements but the live one were dropped and freed.
    runtime().flush();
    let gone = stats.sum(|here| &here.allocated) - 1;
    assert!(stats.sum(|here| &here.freed) == gone);
    // The copy lives until the map ends.
    assert!(counters.elements() == 1);
    f.0.raw().begin_end();
    assert!(counters.elements() == 0 && !f.0.raw().is_gone());
    f.0.raw().wait_until_gone();
    assert!(f.0.raw().is_gone());
}

/// Once its end is announced, a map stores nothing. What it has is found and deleted until the end
/// comes to it.
fn ending() {
    let f = Fixture::cloning();
    let [owner, other] = PLACES.map(|place| Mock::new(place, 1, None));
    let mut reserve = Reserve::new(f.0.raw());
    reserve.fill(1).expect("no memory");
    assert!(f.create(owner, 1).is_ok());
    f.0.raw().announce_end();
    for mode in [Mode::Any, Mode::Exist] {
        assert!(f.update(owner, mode, 2) == Err(Refusal::OwnerDead));
    }
    assert!(f.create(other, 2) == Err(Refusal::OwnerDead));
    assert!(f.create_from(&reserve, other, 2) == Err(Refusal::OwnerDead) && reserve.left() == 1);
    // A copy that is not made is no failure.
    runtime().inherit(owner.id(), other);
    let counters = f.0.raw().counters();
    assert!(counters.sum(|here| &here.created) == 1 && f.get(other).is_none());
    assert!(counters.sum(|here| &here.clone_failures) == 0);
    assert!(f.create(owner, 2) == Ok((1, false)));
    assert!(f.delete(owner) == Ok(1));
}

/// The reaper reschedules after each object that it unlinks, and after each 32 that it frees.
fn yields() {
    let f = Fixture::new();
    let owner = |n: usize| Mock::new(PLACES[0] + n * 0x1000, 1, None);
    for count in [10, 70] {
        assert!((0..count).all(|n| f.create(owner(n), 1).is_ok()));
        assert!((0..count).all(|n| f.delete(owner(n)).is_ok()));
        let (before, (objects, _)) = (deferred::yields(), runtime().pending());
        runtime().flush();
        let yields = deferred::yields() - before;
        // The deletes have unlinked the elements. Only storages are left to the reaper.
        assert!(
            yields == count as u64 + objects / 32,
            "{yields} for {objects}"
        );
    }
}

/// A flush queues the works of the lists that have objects, and no others.
fn hurries() {
    let (f, owner) = (Fixture::new(), Mock::new(PLACES[0], 1, None));
    assert!(f.create(owner, 1).is_ok());
    runtime().flush();
    assert!(deferred::queued_now() == 0);
    assert!(f.delete(owner).is_ok());
    runtime().flush();
    assert!(deferred::queued_now() == 1);
}

/// A delete passes the event of a locked bucket when it locks one of its map, but not when it locks
/// one of the owner index.
fn events() {
    let (f, g) = (Fixture::new(), Fixture::new());
    let owner = Mock::new(PLACES[0], 1, None);
    let passed = Rc::new(Cell::new(0));
    for _ in 0..3 {
        let passed = passed.clone();
        trace::probe(Event::BucketLocked, move || passed.set(passed.get() + 1));
    }
    assert!(f.create(owner, 1).is_ok() && g.create(owner, 2).is_ok());
    assert!(f.delete(owner).is_ok() && passed.get() == 1);
    // This delete unlinks the storage, too.
    assert!(g.delete(owner).is_ok() && passed.get() == 2);
}

/// A create that finds the elements of an earlier owner at the address ends them, and forgets their
/// charge.
fn stale() {
    let (f, stats) = (Fixture::new(), &runtime().stats);
    let (old, new) = (
        Mock::new(PLACES[0], 1, Some(ROOM)),
        Mock::new(PLACES[0], 2, Some(ROOM)),
    );
    assert!(f.create(old, 1).is_ok() && stats.sum(|here| &here.stale) == 0);
    assert!(f.create(new, 2) == Ok((2, true)) && stats.sum(|here| &here.stale) == 1);
    assert!(stats.sum(|here| &here.charged) == new.charge_now().into());
    runtime().owner_gone(old.id());
    assert!(stats.sum(|here| &here.stale) == 1 && f.get(new) == Some(2));
    runtime().owner_gone(new.id());
    assert!(stats.sum(|here| &here.stale) == 2 && f.get(new).is_none());
    assert!(stats.sum(|here| &here.charged) == 0 && stats.sum(|here| &here.owner_deaths) == 0);
}

/// An owner that dies has one of two identities. No owner with a third one dies with it.
fn known_as() {
    let (f, stats) = (Fixture::new(), &runtime().stats);
    let [one, two, other] = [1, 2, 3].map(|serial| Mock::new(PLACES[0], serial, None));
    for (owner, deaths, stale) in [(one, 1, 0), (two, 2, 0), (other, 2, 1)] {
        assert!(f.create(owner, 1).is_ok());
        // SAFETY: The mock is not used as an owner again.
        let had_storage = unsafe { runtime().owner_died_as(one.id(), two.id()) };
        assert!(had_storage == (stale == 0) && f.get(owner).is_none());
        assert!(stats.sum(|here| &here.owner_deaths) == deaths);
        assert!(stats.sum(|here| &here.stale) == stale);
    }
}

/// The notice of death gives back the charge, and is lost after that.
fn lost() {
    let (f, owner) = (Fixture::new(), Mock::new(PLACES[0], 1, Some(ROOM)));
    assert!(f.create(owner, 1).is_ok() && owner.charge_now() != 0);
    // SAFETY: The mock is not used as an owner again.
    unsafe { runtime().owner_lost(owner.id()) };
    assert!(owner.charge_now() == 0 && runtime().stats.sum(|here| &here.charged) == 0);
    assert!(f.get(owner) == Some(1));
}

/// Owners are spread over the buckets, whichever bits of their addresses differ.
fn spread() {
    let f = Fixture::new();
    let id = |addr: usize| Mock::new(addr, 1, None).id();
    for step in [6, 8, 12, 16, 20, 24, 28, 32].map(|bits| 1usize << bits) {
        let beside = |n: &usize| {
            f.0.raw()
                .share_bucket(id(PLACES[0]), id(PLACES[0] + n * step))
        };
        let beside = (1..=64).filter(beside).count();
        assert!((1..=12).contains(&beside), "{beside} of 64 in one of 16");
    }
    assert!(f.0.raw().share_bucket(id(PLACES[0]), id(PLACES[0])));
}

thread_local! {
    /// The bytes that were taken off owners that do not implement `charge`.
    static TAKEN_OFF: Cell<u32> = const { Cell::new(0) };
}

static MINIMAL_OPS: OwnerOps = OwnerOps {
    kind: 7,
    number_of: MinimalOwner::number_of,
    visits: Visits::Charge(MinimalOwner::uncharge),
};

/// An owner that implements only what it must.
struct MinimalOwner;

impl MinimalOwner {
    /// # Safety
    ///
    /// As for [`OwnerOps::number_of`].
    unsafe fn number_of(id: OwnerId, _rcu: &Guard) -> u64 {
        id.serial()
    }

    /// # Safety
    ///
    /// As for [`Visits::Charge`].
    unsafe fn uncharge(_id: OwnerId, bytes: u32) {
        TAKEN_OFF.set(TAKEN_OFF.get() + bytes);
    }
}

// SAFETY: There is one such owner. It does not die, and its address is not used for another one.
unsafe impl Owner for MinimalOwner {
    type Gate<'a> = ();

    fn ops(&self) -> &'static OwnerOps {
        &MINIMAL_OPS
    }

    fn id(&self) -> OwnerId {
        OwnerId::new(
            ptr::without_provenance::<u64>(PLACES[0]),
            MINIMAL_OPS.kind,
            3,
        )
    }

    fn gate(&self, _rcu: &Guard) -> Result<(), Refusal> {
        Ok(())
    }
}

/// An owner without a limit is never refused, and all that was charged to it is taken off.
fn minimal_owner() {
    let map = ByteMap::new(8).expect("no map");
    TAKEN_OFF.set(0);
    assert!(map
        .put(&MinimalOwner, Mode::NoExist, &[1], &rcu::read_lock())
        .is_ok());
    let charged = runtime().stats.sum(|here| &here.charged);
    assert!(charged == (size_of::<Storage>() + map.raw().element_size()) as u64);
    drop(map);
    assert!(u64::from(TAKEN_OFF.get()) == charged);
}

thread_local! {
    /// The sum of the values that were dropped, and their count.
    static DROPPED: Cell<(u64, u32)> = const { Cell::new((0, 0)) };
}

/// # Safety
///
/// There must be a `u64` at the address.
unsafe extern "C" fn drop_foreign(value: *mut c_void) {
    // SAFETY: By the safety requirements.
    let value = unsafe { value.cast::<u64>().read() };
    let (sum, count) = DROPPED.get();
    DROPPED.set((sum + value, count + 1));
}

/// A copy of a value is ten times as much.
///
/// # Safety
///
/// There must be a `u64` at `from`, and memory for one at `to`.
unsafe extern "C" fn copy_foreign(to: *mut c_void, from: *const c_void, size: usize) {
    assert!(size == size_of::<u64>());
    // SAFETY: By the safety requirements.
    unsafe { to.cast::<u64>().write(10 * from.cast::<u64>().read()) };
}

/// The functions of values that are not Rust's are called with the value, and once.
fn foreign_values() {
    let foreign = Values {
        drop: Some(drop_foreign),
        clone: Some(copy_foreign),
    };
    DROPPED.set((0, 0));
    let [parent, child] = PLACES.map(|place| Mock::new(place, 1, None));
    // SAFETY: The values are `u64`, and the functions may be called on any thread.
    let new = |size| unsafe { OwnedMap::new(size, foreign) };
    assert!(new(0).err() == Some(EINVAL) && new(VALUE_SIZE_MAX + 1).err() == Some(E2BIG));
    let map = new(size_of::<u64>()).expect("no map");
    let value = |owner: &Mock| {
        let rcu = rcu::read_lock();
        let elem = map.find(owner.id(), &rcu)?;
        // SAFETY: The guard keeps the value, which is a `u64`.
        Some(unsafe { elem.value().cast::<u64>().read() })
    };
    let put = |owner: &Mock, mode, number: u64| {
        // SAFETY: The memory is that of a value.
        let init = |to: NonNull<u8>| unsafe { to.cast().write(number) };
        // SAFETY: `init` writes a `u64`.
        unsafe { map.put(owner, mode, init, &rcu::read_lock()) }.is_ok()
    };
    assert!(put(parent, Mode::NoExist, 3));
    runtime().inherit(parent.id(), child);
    assert!(value(parent) == Some(3) && value(child) == Some(30));
    // What an update replaces is dropped, and then what dies with its owner, and then the rest.
    assert!(put(parent, Mode::Exist, 500) && value(parent) == Some(500));
    runtime().flush();
    assert!(DROPPED.get() == (3, 1));
    child.die();
    runtime().flush();
    assert!(DROPPED.get() == (33, 2));
    // A value that was made and not stored is dropped, too.
    fail(&[(Site::LinkLock, 1)]);
    assert!(!put(parent, Mode::Exist, 1000) && value(parent) == Some(500));
    drop(map);
    assert!(DROPPED.get() == (1533, 4));
    // Bytes are copied as they are.
    let bytes = ByteMap::new_cloning(3).expect("no map");
    let heir = Mock::new(PLACES[1], 2, None);
    let rcu = rcu::read_lock();
    assert!(bytes.put(parent, Mode::NoExist, &[1, 2, 3], &rcu).is_ok());
    runtime().inherit(parent.id(), heir);
    assert!(bytes.get_by_id(heir.id(), &rcu) == Some(&[1, 2, 3]));
}

#[test]
fn figures() {
    let scenarios: [(&str, fn()); 19] = [
        ("identities", identities),
        ("renamed", renamed),
        ("sizes", sizes),
        ("zeroes", zeroes),
        ("refused maps", refused_maps),
        ("reserves", reserves),
        ("holders", holders),
        ("errors", errors),
        ("counts", counts),
        ("ending", ending),
        ("yields", yields),
        ("hurries", hurries),
        ("events", events),
        ("stale", stale),
        ("known as", known_as),
        ("lost", lost),
        ("spread", spread),
        ("minimal owner", minimal_owner),
        ("foreign values", foreign_values),
    ];
    for (name, scenario) in scenarios {
        Explore::new(name).once(scenario);
    }
}
