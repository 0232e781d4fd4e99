// SPDX-License-Identifier: GPL-2.0
//! What the players of a churn play with: owners that die and are replaced, and
//! maps that are closed and replaced.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::Result;
use ostor::device::{self, Map};
use ostor::process::Child;

/// Bytes per value: the map's number and the owner's.
pub(crate) const VALUE_SIZE: u32 = 16;

const SHARED: usize = 3;
const OWN: usize = 3;
const OWNERS: usize = 8;

/// A map with a number of its own.
pub(crate) struct NumberedMap {
    pub(crate) number: u64,
    pub(crate) map: Map,
}

/// An owner with a number of its own.
pub(crate) struct NumberedOwner {
    pub(crate) number: u64,
    pub(crate) process: Child,
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
    pub(crate) fn create() -> Result<Self> {
        let map = |number| {
            let map = Map::create(VALUE_SIZE)?;
            Ok(Arc::new(NumberedMap { number, map }))
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
    pub(crate) fn create(shared: &SharedMaps) -> Result<Self> {
        let mut world = Self {
            shared: shared.0.clone(),
            own: Vec::new(),
            owners: Vec::new(),
            numbers: AtomicU64::new(SHARED as u64),
        };
        for _ in 0..OWN {
            world.own.push(Mutex::new(world.new_map()?));
        }
        for _ in 0..OWNERS {
            world.owners.push(Mutex::new(world.new_owner()?));
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
        self.owners[choose(OWNERS)]
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

    /// Puts a new owner in the place of another, and kills and reaps that one
    /// while others may still use it.
    pub(crate) fn replace_owner(&self, choose: impl FnOnce(usize) -> usize) -> Result<()> {
        let new = self.new_owner()?;
        let slot = &self.owners[choose(OWNERS)];
        let old = std::mem::replace(&mut *slot.lock().expect("no player panicked"), new);
        old.doomed.store(true, Ordering::SeqCst);
        Ok(old.process.kill_and_reap()?)
    }

    fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    fn new_map(&self) -> device::Result<Arc<NumberedMap>> {
        let map = Map::create(VALUE_SIZE)?;
        Ok(Arc::new(NumberedMap {
            number: self.number(),
            map,
        }))
    }

    fn new_owner(&self) -> Result<Arc<NumberedOwner>> {
        let process = Child::idle()?;
        let doomed = AtomicBool::new(false);
        Ok(Arc::new(NumberedOwner {
            number: self.number(),
            process,
            doomed,
        }))
    }
}
