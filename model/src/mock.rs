// SPDX-License-Identifier: GPL-2.0

//! Owners and values that keep watch.

use crate::{
    storage::{
        create::Mode,
        error::Refusal,
        map::Map,
        owner::{
            Owner,
            OwnerId,
            OwnerOps, //
        },
        runtime::Runtime, //
    },
    sync::{
        rcu::{
            self,
            Guard, //
        },
        Atomic,
        Cell as PlainCell,
        Full,
        Relaxed, //
    },
};
use std::{
    alloc::Layout,
    cell::{
        Cell,
        RefCell, //
    },
    thread::panicking, //
};

/// An owner. Its address is a number, so that executions do not differ by what the host's
/// allocator does, and so that one owner can follow another at it.
pub(crate) struct Mock {
    place: usize,
    serial: u64,
    alive: Atomic<bool>,
    charged: Atomic<u32>,
    /// The most that it may be charged; [`None`] if such owners are not.
    limit: Cell<Option<u32>>,
    /// The first read section that begins after its notice of death has begun.
    notice: Cell<Option<u64>>,
    /// Whether the notice is over, and the memory another's: written then, and read by who needs
    /// the owner.
    gone: PlainCell<bool>,
}

// SAFETY: All threads of an execution are one thread of the host.
unsafe impl Sync for Mock {}

thread_local! {
    /// The owners of the execution.
    static OWNERS: RefCell<Vec<&'static Mock>> = const { RefCell::new(Vec::new()) };
    /// Its values: whether each is dropped.
    static VALUES: RefCell<Vec<bool>> = const { RefCell::new(Vec::new()) };
}

/// Begins an execution.
pub(crate) fn begin() {
    OWNERS.with(|owners| owners.borrow_mut().clear());
    VALUES.with(|values| values.borrow_mut().clear());
}

/// Ends an execution.
pub(crate) fn end() {
    let left = VALUES.with(|values| values.borrow().iter().filter(|dropped| !**dropped).count());
    assert!(left == 0, "{left} values were never dropped");
}

static FREE: OwnerOps = OwnerOps {
    kind: 0,
    number_of: Mock::number_of,
    uncharge: None,
};

static CHARGED: OwnerOps = OwnerOps {
    kind: 15,
    number_of: Mock::number_of,
    uncharge: Some(Mock::uncharge),
};

/// More than is ever charged.
pub(crate) const ROOM: u32 = 1 << 20;

/// Where owners are.
pub(crate) const PLACES: [usize; 2] = [0x10_0000, 0x20_0000];

impl Mock {
    /// An owner at a place, with a serial number that no other one there has.
    pub(crate) fn new(place: usize, serial: u64, limit: Option<u32>) -> &'static Self {
        let memory = machine::alloc(Layout::new::<Self>(), false).cast::<Self>();
        let mock = Self {
            place,
            serial,
            alive: Atomic::new(true),
            charged: Atomic::new(0),
            limit: Cell::new(limit),
            notice: Cell::new(None),
            gone: PlainCell::new(false),
        };
        // SAFETY: Allocated for it; it stays to the end of the execution.
        let mock = unsafe {
            memory.write(mock);
            &*memory
        };
        OWNERS.with(|owners| owners.borrow_mut().push(mock));
        mock
    }

    fn of(id: OwnerId) -> &'static Self {
        let found = OWNERS.with(|owners| {
            let owners = owners.borrow();
            owners.iter().find(|mock| mock.id() == id).copied()
        });
        found.expect("there is no such owner")
    }

    /// Whether it lets through who comes.
    pub(crate) fn is_alive(&self) -> bool {
        self.alive.load(Relaxed)
    }

    /// Bytes that are charged.
    pub(crate) fn charge_now(&self) -> u32 {
        self.charged.load(Relaxed)
    }

    /// It may be charged no more than now.
    pub(crate) fn close(&self) {
        self.limit.set(Some(self.charge_now()));
    }

    /// # Safety
    ///
    /// As [`OwnerOps::number_of`].
    unsafe fn number_of(id: OwnerId, _rcu: &Guard) -> u64 {
        let mock = Self::of(id);
        let early = |notice| machine::rcu::section() < notice;
        assert!(mock.notice.get().is_none_or(early), "a dead owner's number");
        mock.serial
    }

    /// # Safety
    ///
    /// As [`OwnerOps::uncharge`].
    unsafe fn uncharge(id: OwnerId, bytes: u32) {
        let mock = Self::of(id);
        let before = mock.charged.fetch_sub(bytes, Full);
        assert!(!mock.gone.get(), "a dead owner is touched");
        assert!(before >= bytes, "more is given back than was charged");
    }

    /// Dies as a task does: whoever was let through is done before the notice comes. After it the
    /// memory is another's.
    pub(crate) fn die(&self) -> bool {
        self.leave();
        self.notice()
    }

    /// Lets nobody through any more, and waits for who was.
    pub(crate) fn leave(&self) {
        self.alive.store(false, Relaxed);
        rcu::synchronize_rcu();
    }

    /// The notice of the death of an owner that lets nobody through any more. Returns whether the
    /// owner had a storage.
    pub(crate) fn notice(&self) -> bool {
        self.notice.set(Some(machine::rcu::next_section()));
        // SAFETY: The mock's notice of death.
        let had = Runtime::get().is_some_and(|runtime| unsafe { runtime.owner_died(self.id()) });
        let left = self.charged.fetch_add(0, Full);
        self.gone.set(true);
        assert!(left == 0, "{left} bytes are not given back to the dead");
        had
    }
}

// SAFETY: As KUnit's mock: the gate is the read section that saw the owner alive.
unsafe impl Owner for Mock {
    type Gate<'a> = &'a Guard;

    fn ops(&self) -> &'static OwnerOps {
        match self.limit.get() {
            Some(_) => &CHARGED,
            None => &FREE,
        }
    }

    fn id(&self) -> OwnerId {
        let object = std::ptr::without_provenance::<u64>(self.place);
        OwnerId::new(object, self.ops(), self.serial)
    }

    fn gate<'a>(&'a self, rcu: &'a Guard) -> Result<&'a Guard, Refusal> {
        if self.is_alive() {
            Ok(rcu)
        } else {
            Err(Refusal::OwnerDead)
        }
    }

    fn charge(&self, bytes: u32) -> bool {
        let limit = self.limit.get().unwrap_or(0);
        let mut now = self.charged.load(Relaxed);
        while now + bytes <= limit {
            match self.charged.cmpxchg(now, now + bytes, Full) {
                Ok(_) => {
                    assert!(!self.gone.get(), "a dead owner is charged");
                    return true;
                }
                Err(other) => now = other,
            }
        }
        false
    }
}

/// A value that knows whether it is dropped.
pub(crate) struct Value {
    number: u64,
    serial: usize,
    /// Read by who reads the value, and written by its drop, so that engines see them meet.
    word: Atomic<u64>,
}

impl Value {
    pub(crate) fn new(number: u64) -> Self {
        let serial = VALUES.with(|values| {
            values.borrow_mut().push(false);
            values.borrow().len() - 1
        });
        Self {
            number,
            serial,
            word: Atomic::new(0),
        }
    }

    /// The number, of a value that is not dropped.
    pub(crate) fn read(&self) -> u64 {
        assert!(machine::on_heap(self), "a value is where nothing is");
        self.word.load(Relaxed);
        let dropped = VALUES.with(|values| values.borrow()[self.serial]);
        assert!(!dropped, "value {} is read, which is dropped", self.number);
        self.number
    }
}

impl Clone for Value {
    fn clone(&self) -> Self {
        Self::new(self.read())
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        if panicking() {
            return;
        }
        if machine::on_heap(self) {
            self.word.store(1, Relaxed);
        }
        let before = VALUES.with(|values| {
            let dropped = &mut values.borrow_mut()[self.serial];
            std::mem::replace(dropped, true)
        });
        assert!(!before, "value {} is dropped twice", self.number);
    }
}

/// A map of such values.
pub(crate) struct Fixture(pub(crate) Map<Value>);

impl Fixture {
    pub(crate) fn new() -> Self {
        Self(Map::new().expect("no map"))
    }

    /// A map that clones.
    pub(crate) fn cloning() -> Self {
        Self(Map::new_cloning().expect("no map"))
    }

    /// The number of the owner's value.
    pub(crate) fn get(&self, owner: &Mock) -> Option<u64> {
        let rcu = rcu::read_lock();
        Some(self.0.get(owner, &rcu)?.read())
    }

    /// Gets or creates: the number of the value that is there then, and whether it is new.
    pub(crate) fn create(&self, owner: &Mock, number: u64) -> Result<(u64, bool), Refusal> {
        let rcu = rcu::read_lock();
        let stored = self.0.get_or_create(owner, || Value::new(number), &rcu)?;
        Ok((stored.value.read(), stored.created))
    }

    /// Stores, and whether the element is new.
    pub(crate) fn update(&self, owner: &Mock, mode: Mode, number: u64) -> Result<bool, Refusal> {
        let rcu = rcu::read_lock();
        let stored = self.0.update(owner, mode, Value::new(number), &rcu)?;
        stored.value.read();
        Ok(stored.created)
    }

    /// Stores; the number of the element, and whether it is new.
    pub(crate) fn store(
        &self,
        owner: &Mock,
        mode: Mode,
        number: u64,
    ) -> Result<(u64, bool), Refusal> {
        let rcu = rcu::read_lock();
        let stored = self.0.update(owner, mode, Value::new(number), &rcu)?;
        Ok((stored.seq, stored.created))
    }

    /// Deletes, and the number of the value that was deleted.
    pub(crate) fn delete(&self, owner: &Mock) -> Result<u64, Refusal> {
        let rcu = rcu::read_lock();
        Ok(self.0.delete(owner, &rcu)?.read())
    }

    /// Live elements.
    pub(crate) fn elements(&self) -> u64 {
        self.0.raw().counters().elements()
    }

    /// What an owner is charged for one.
    pub(crate) fn bytes(&self) -> u32 {
        self.0.raw().element_size() as u32
    }
}
