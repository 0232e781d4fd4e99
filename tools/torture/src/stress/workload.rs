// SPDX-License-Identifier: GPL-2.0
//! The maps and owners that workers share: owners end and are replaced, and maps are
//! closed and replaced.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::Result;
use ostor::device::{self, Kind, Map, Mode};
use ostor::object::Object;

/// Bytes per value: the number of the map and that of the owner.
pub(crate) const VALUE_SIZE: u32 = 16;

/// Number of maps that all processes share.
const SHARED: usize = 3;

/// Number of maps of each process.
const OWN: usize = 3;

/// Number of owners of each kind that end and are replaced.
const OWNERS: usize = 8;

/// Number of owners of each kind that live as long as their map.
const STEADY: u64 = 4;

/// A map with a number.
pub(crate) struct NumberedMap {
    pub(crate) number: u64,
    pub(crate) map: Map,
    /// Elements that live as long as the map, and are in every listing once.
    pub(crate) steady: Vec<Steady>,
}

/// An element that no worker changes.
pub(crate) struct Steady {
    pub(crate) seq: u64,
    /// The owner, which must live.
    _owner: Object,
}

/// The value of an owner in a map, whichever worker stores it.
pub(crate) fn value_of(map: u64, owner: u64) -> Vec<u8> {
    [map, owner].map(u64::to_ne_bytes).concat()
}

/// An owner with a number.
pub(crate) struct NumberedOwner {
    pub(crate) number: u64,
    pub(crate) object: Object,
    /// Set before the owner is ended.
    ending: AtomicBool,
}

impl NumberedOwner {
    /// Whether operations may fail because the owner has ended.
    pub(crate) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::SeqCst)
    }
}

/// The maps that all processes share. The last process to end closes them.
pub(crate) struct SharedMaps(Vec<Arc<NumberedMap>>);

impl SharedMaps {
    /// Creates the maps, with elements of steady owners of these kinds.
    pub(crate) fn create(kinds: &[Kind]) -> Result<Self> {
        let map = |number| {
            let map = Map::create(VALUE_SIZE)?;
            let mut steady = Vec::new();
            for (i, kind) in (0..STEADY).flat_map(|_| kinds).enumerate() {
                let owner = Object::new(*kind)?;
                let value = value_of(number, u64::MAX - i as u64);
                let seq = map.update(owner.owner(), &value, Mode::NoExist)?.seq;
                steady.push(Steady { seq, _owner: owner });
            }
            Ok(Arc::new(NumberedMap {
                number,
                map,
                steady,
            }))
        };
        (0..SHARED as u64).map(map).collect::<Result<_>>().map(Self)
    }
}

/// The maps and owners of the workers of one process.
pub(crate) struct Workload {
    shared: Vec<Arc<NumberedMap>>,
    own: Vec<Mutex<Arc<NumberedMap>>>,
    owners: Vec<Mutex<Arc<NumberedOwner>>>,
    numbers: AtomicU64,
}

impl Workload {
    /// Creates a workload with owners of these kinds.
    pub(crate) fn create(shared: &SharedMaps, kinds: &[Kind]) -> Result<Self> {
        let mut workload = Self {
            shared: shared.0.clone(),
            own: Vec::new(),
            owners: Vec::new(),
            numbers: AtomicU64::new(SHARED as u64),
        };
        for _ in 0..OWN {
            workload.own.push(Mutex::new(workload.new_map()?));
        }
        for kind in (0..OWNERS).flat_map(|_| kinds) {
            workload.owners.push(Mutex::new(workload.new_owner(*kind)?));
        }
        Ok(workload)
    }

    /// One of the maps.
    pub(crate) fn map(&self, choose: impl FnOnce(usize) -> usize) -> Arc<NumberedMap> {
        let i = choose(SHARED + OWN);
        match self.own.get(i.wrapping_sub(SHARED)) {
            Some(map) => map.lock().expect("no worker panicked").clone(),
            None => self.shared[i].clone(),
        }
    }

    /// One of the owners.
    pub(crate) fn owner(&self, choose: impl FnOnce(usize) -> usize) -> Arc<NumberedOwner> {
        self.owners[choose(self.owners.len())]
            .lock()
            .expect("no worker panicked")
            .clone()
    }

    /// Replaces a map by a new one. The last worker that uses the old one closes it.
    pub(crate) fn replace_map(&self, choose: impl FnOnce(usize) -> usize) -> Result<()> {
        let new = self.new_map()?;
        let old = std::mem::replace(
            &mut *self.own[choose(OWN)].lock().expect("no worker panicked"),
            new,
        );
        drop(old);
        Ok(())
    }

    /// Replaces an owner by a new one, and ends it while other workers may still use it.
    /// Returns its kind.
    pub(crate) fn replace_owner(&self, choose: impl FnOnce(usize) -> usize) -> Result<Kind> {
        let slot = &self.owners[choose(self.owners.len())];
        let kind = slot.lock().expect("no worker panicked").object.kind();
        let new = self.new_owner(kind)?;
        let old = std::mem::replace(&mut *slot.lock().expect("no worker panicked"), new);
        old.ending.store(true, Ordering::SeqCst);
        old.object.kill()?;
        Ok(kind)
    }

    /// Drops this process's references to all maps.
    pub(crate) fn close_maps(&mut self) {
        self.shared.clear();
        self.own.clear();
    }

    fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    fn new_map(&self) -> device::Result<Arc<NumberedMap>> {
        let map = Map::create(VALUE_SIZE)?;
        Ok(Arc::new(NumberedMap {
            number: self.number(),
            map,
            steady: Vec::new(),
        }))
    }

    fn new_owner(&self, kind: Kind) -> Result<Arc<NumberedOwner>> {
        Ok(Arc::new(NumberedOwner {
            number: self.number(),
            object: Object::new(kind)?,
            ending: AtomicBool::new(false),
        }))
    }
}
