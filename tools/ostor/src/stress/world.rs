// SPDX-License-Identifier: GPL-2.0
//! What players play with: owners that die and are replaced, and maps that are
//! closed and replaced.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::Result;
use ostor::device::{self, Kind, Map, Mode};
use ostor::object::Object;

/// Bytes per value: the map's number and the owner's.
pub(crate) const VALUE_SIZE: u32 = 16;

const SHARED: usize = 3;
const OWN: usize = 3;

/// How many owners of each kind die and are replaced.
const OWNERS: usize = 8;

/// How many owners of each kind nobody plays with.
const STEADY: u64 = 4;

/// A map with a number of its own.
pub(crate) struct NumberedMap {
    pub(crate) number: u64,
    pub(crate) map: Map,
    /// Elements that live as long as the map: each listing has them once.
    pub(crate) steady: Vec<Steady>,
}

/// An element that nobody touches.
pub(crate) struct Steady {
    pub(crate) seq: u64,
    /// Its owner, which must live.
    _owner: Object,
}

/// The value that an owner has in a map, whoever stores it.
pub(crate) fn value_of(map: u64, owner: u64) -> Vec<u8> {
    [map, owner].map(u64::to_ne_bytes).concat()
}

/// An owner with a number of its own.
pub(crate) struct NumberedOwner {
    pub(crate) number: u64,
    pub(crate) object: Object,
    /// Set before it is killed: from then on it may be gone.
    doomed: AtomicBool,
}

impl NumberedOwner {
    /// Whether operations may fail because it is dead.
    pub(crate) fn is_doomed(&self) -> bool {
        self.doomed.load(Ordering::SeqCst)
    }
}

/// The maps that all processes use; the last to end closes them.
pub(crate) struct SharedMaps(Vec<Arc<NumberedMap>>);

impl SharedMaps {
    /// Makes them, with elements of steady owners of these kinds.
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

/// What the threads of one process play with.
pub(crate) struct World {
    shared: Vec<Arc<NumberedMap>>,
    own: Vec<Mutex<Arc<NumberedMap>>>,
    owners: Vec<Mutex<Arc<NumberedOwner>>>,
    numbers: AtomicU64,
}

impl World {
    /// Makes one with owners of these kinds.
    pub(crate) fn create(shared: &SharedMaps, kinds: &[Kind]) -> Result<Self> {
        let mut world = Self {
            shared: shared.0.clone(),
            own: Vec::new(),
            owners: Vec::new(),
            numbers: AtomicU64::new(SHARED as u64),
        };
        for _ in 0..OWN {
            world.own.push(Mutex::new(world.new_map()?));
        }
        for kind in (0..OWNERS).flat_map(|_| kinds) {
            world.owners.push(Mutex::new(world.new_owner(*kind)?));
        }
        Ok(world)
    }

    /// Any of the maps.
    pub(crate) fn map(&self, choose: impl FnOnce(usize) -> usize) -> Arc<NumberedMap> {
        let i = choose(SHARED + OWN);
        match self.own.get(i.wrapping_sub(SHARED)) {
            Some(map) => map.lock().expect("no player panicked").clone(),
            None => self.shared[i].clone(),
        }
    }

    /// Any of the owners.
    pub(crate) fn owner(&self, choose: impl FnOnce(usize) -> usize) -> Arc<NumberedOwner> {
        self.owners[choose(self.owners.len())]
            .lock()
            .expect("no player panicked")
            .clone()
    }

    /// Puts a new map in the place of another, whose last user closes it.
    pub(crate) fn replace_map(&self, choose: impl FnOnce(usize) -> usize) -> Result<()> {
        let new = self.new_map()?;
        let old = std::mem::replace(
            &mut *self.own[choose(OWN)].lock().expect("no player panicked"),
            new,
        );
        drop(old);
        Ok(())
    }

    /// Puts a new owner in the place of another, and ends that one while others
    /// may still use it. Returns its kind.
    pub(crate) fn replace_owner(&self, choose: impl FnOnce(usize) -> usize) -> Result<Kind> {
        let slot = &self.owners[choose(self.owners.len())];
        let kind = slot.lock().expect("no player panicked").object.kind();
        let new = self.new_owner(kind)?;
        let old = std::mem::replace(&mut *slot.lock().expect("no player panicked"), new);
        old.doomed.store(true, Ordering::SeqCst);
        old.object.kill()?;
        Ok(kind)
    }

    /// Closes all maps, those of other processes as far as they are this one's.
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
            doomed: AtomicBool::new(false),
        }))
    }
}
