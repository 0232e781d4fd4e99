// SPDX-License-Identifier: GPL-2.0

//! Owners and values that check how the storage uses them.

pub(crate) use crate::mock_owner::Mock;
use crate::{
    storage::{
        create::Mode,
        error::Refusal,
        map::Map,
        owner::{
            Owner,
            OwnerId, //
        },
        reserve::Reserve, //
    },
    sync::{
        rcu,
        Atomic,
        Cell as PlainCell,
        Relaxed, //
    },
};

use std::{
    alloc::Layout,
    cell::{
        Cell,
        RefCell, //
    },
    ptr::NonNull,
    thread::panicking, //
};

/// The address of a mock owner, and the progress of its notice of death.
///
/// The address is a constant. So an execution does not depend on the host's allocator, and one
/// owner can follow another at the same address.
pub(crate) struct Place {
    addr: usize,
    /// The first read section that begins after the notice of death has begun.
    notice: Cell<Option<u64>>,
    /// Whether the notice is over, so that the memory may be another owner's. The thread that gives
    /// the notice writes it, and each thread that accesses the owner reads it: the machine detects
    /// a race between the two.
    gone: PlainCell<bool>,
}

// SAFETY: All threads of an execution are one thread of the host.
unsafe impl Sync for Place {}

thread_local! {
    /// The owners of the execution.
    static OWNERS: RefCell<Vec<&'static Mock>> = const { RefCell::new(Vec::new()) };
    /// The values of the execution: whether each was dropped.
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

/// A limit that is never reached.
pub(crate) const ROOM: u32 = 1 << 20;

/// The addresses of owners.
pub(crate) const PLACES: [usize; 2] = [0x10_0000, 0x20_0000];

/// Fails the model if `is_right` is false.
pub(crate) fn check(is_right: bool, what: &str) {
    assert!(is_right, "{what}");
}

impl Place {
    /// The owner's address.
    pub(crate) fn object(mock: &Mock) -> *const u64 {
        std::ptr::without_provenance(mock.place.addr)
    }

    /// The owner of an identity.
    ///
    /// # Safety
    ///
    /// None: owners stay to the end of the execution.
    pub(crate) unsafe fn owner(id: OwnerId) -> &'static Mock {
        let found = OWNERS.with(|owners| {
            let owners = owners.borrow();
            owners.iter().find(|mock| mock.id() == id).copied()
        });
        found.expect("no owner has this identity")
    }

    /// The notice of death begins.
    pub(crate) fn notice_begins(&self) {
        self.notice.set(Some(machine::rcu::next_section()));
    }

    /// The notice of death is over.
    pub(crate) fn notice_is_over(&self) {
        self.gone.set(true);
    }

    /// Fails the model with `what` if the notice is over.
    pub(crate) fn check_not_gone(&self, what: &str) {
        check(!self.gone.get(), what);
    }

    /// Fails the model if the notice had begun before this read section.
    pub(crate) fn check_number(id: OwnerId) {
        // SAFETY: There is no requirement.
        let mock = unsafe { Self::owner(id) };
        let early = |notice| machine::rcu::section() < notice;
        let is_early = mock.place.notice.get().is_none_or(early);
        check(is_early, "the number of a dead owner is read");
    }
}

impl Mock {
    /// An owner at `addr`, with a serial number that no other owner there has.
    pub(crate) fn new(addr: usize, serial: u64, limit: Option<u32>) -> &'static Self {
        let memory = machine::alloc(Layout::new::<Self>(), false).cast::<Self>();
        let place = Place {
            addr,
            notice: Cell::new(None),
            gone: PlainCell::new(false),
        };
        // SAFETY: The memory was allocated for a `Mock`, and is kept to the end of the execution.
        let mock = unsafe {
            memory.write(Self::at(place, serial, limit));
            &*memory
        };
        OWNERS.with(|owners| owners.borrow_mut().push(mock));
        mock
    }

    /// An owner at `addr` that is not charged. Lookups by it use its hints.
    pub(crate) fn hinted(addr: usize, serial: u64) -> &'static Self {
        let mock = Self::new(addr, serial, None);
        mock.has_hints.set(true);
        mock
    }

    /// Sets the limit to what is charged now.
    pub(crate) fn limit_to_charge(&self) {
        self.limit.set(Some(self.charge_now()));
    }
}

/// A value that records whether it was dropped.
pub(crate) struct Value {
    number: u64,
    serial: usize,
    /// A read of the value reads it, and the drop writes it. So the engines see that the two
    /// conflict.
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

    /// The number of the value, which must not be dropped.
    pub(crate) fn read(&self) -> u64 {
        assert!(machine::on_heap(self), "a value is in freed memory");
        self.word.load(Relaxed);
        let dropped = VALUES.with(|values| values.borrow()[self.serial]);
        assert!(
            !dropped,
            "value {} is read after it was dropped",
            self.number
        );
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

/// A map of these values.
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

    /// Gets or creates. Returns the number of the value that is stored, and whether this call
    /// created it.
    pub(crate) fn create(&self, owner: &Mock, number: u64) -> Result<(u64, bool), Refusal> {
        let rcu = rcu::read_lock();
        let stored = self.0.get_or_create(owner, || Value::new(number), &rcu)?;
        Ok((stored.value.read(), stored.created))
    }

    /// As [`Fixture::create`], with memory of `reserve`.
    pub(crate) fn create_from(
        &self,
        reserve: &Reserve,
        owner: &Mock,
        number: u64,
    ) -> Result<(u64, bool), Refusal> {
        let rcu = rcu::read_lock();
        // SAFETY: `put_from` calls this with memory for a value.
        let init = |to: NonNull<u8>| unsafe { to.cast().write(Value::new(number)) };
        let raw = self.0.raw();
        // SAFETY: `init` writes a value.
        let outcome = unsafe { raw.put_from(reserve, owner, Mode::Get, init, &rcu) }?;
        let stored = self.0.stored(outcome);
        Ok((stored.value.read(), stored.created))
    }

    /// Stores a value. Returns whether the element was created.
    pub(crate) fn update(&self, owner: &Mock, mode: Mode, number: u64) -> Result<bool, Refusal> {
        let rcu = rcu::read_lock();
        let stored = self.0.update(owner, mode, Value::new(number), &rcu)?;
        stored.value.read();
        Ok(stored.created)
    }

    /// Stores a value. Returns the sequence number of the element, and whether it was created.
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

    /// Deletes the value, and returns its number.
    pub(crate) fn delete(&self, owner: &Mock) -> Result<u64, Refusal> {
        let rcu = rcu::read_lock();
        Ok(self.0.delete(owner, &rcu)?.read())
    }

    /// The number of live elements.
    pub(crate) fn elements(&self) -> u64 {
        self.0.raw().counters().elements()
    }

    /// What an owner is charged for an element, in bytes.
    pub(crate) fn bytes(&self) -> u32 {
        self.0.raw().element_size() as u32
    }
}
