// SPDX-License-Identifier: GPL-2.0

//! Create and update.

use super::{
    element::Element,
    error::Refusal,
    lock_mode::Spin,
    owner::{
        Owner,
        OwnerId,
        OwnerOps, //
    },
    raw_map::RawMap,
    runtime::Runtime,
    store::Storage,
    table::Lookup,
    unlink, //
};
use crate::sync::{
    fault::{
        self,
        Site, //
    },
    nolock::AllocSource,
    rcu::Guard,
    trace::{
        self,
        Event, //
    }, //
};
use core::{
    mem,
    ptr::NonNull, //
};
use kernel::prelude::*;

/// What is wanted of an element that exists, or does not.
#[derive(Copy, Clone, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Get it, or create it.
    Get,
    /// Replace it, or create it.
    Any,
    /// Create it, or refuse.
    NoExist,
    /// Replace it, or refuse.
    Exist,
}

/// The element an operation ended with.
pub(crate) struct Outcome<'a> {
    /// It is live, or was when the operation took effect.
    pub(crate) elem: &'a Element,
    /// Whether the operation created it, not taking the place of another.
    pub(crate) created: bool,
}

/// What became of a new element under its storage's lock.
enum Linked<'a> {
    /// It was linked; `replaced` was taken off the storage's list. `created` is what the user is
    /// told.
    New {
        replaced: Option<&'a Element>,
        created: bool,
    },
    /// It was not: there is one, and that was wanted.
    Other(&'a Element),
    /// It was not, for this reason.
    Refused(Refusal),
}

impl RawMap {
    /// Runs `op`, which puts something into this map, where the caller may sleep: when there is no
    /// memory, because too much waits to be freed or the payer is at its limit, it waits until what
    /// is dead now is freed, and tries again.
    pub(crate) fn retry_after_reap<R>(&self, mut op: impl FnMut() -> Result<R>) -> Result<R> {
        const TRIES: u32 = 8;

        let reaper = &self.runtime.reaper;
        let mut result = op();
        for turn in 0..TRIES {
            let is_refused = matches!(&result, Err(err) if *err == ENOMEM);
            // Once for a payer at its limit; more often only if others use up what is freed.
            if !is_refused || !reaper.has_dead() || turn > 0 && !self.is_full() {
                break;
            }
            // It is not refused yet.
            self.counters().nomem.sub(1);
            reaper.make_room();
            result = op();
        }
        result
    }

    /// Gets, creates or updates the owner's element. `init` writes the value of a new one.
    ///
    /// Any context. Fails with [`Refusal::NoMemory`] while too much waits to be freed. Takes the lock
    /// of the owner's storage unless what is there already decides. Two CPUs that
    /// create the same element at once both get it, and one of them created it.
    ///
    /// An update that finds its element deleted while it replaces it counts as having come just
    /// before that delete if it insisted on an element, and just after it if not.
    ///
    /// # Safety
    ///
    /// `init` must initialise a value of this map.
    pub(super) unsafe fn put<'a, O: Owner>(
        &'a self,
        owner: &O,
        mode: Mode,
        init: impl FnOnce(NonNull<u8>),
        rcu: &'a Guard,
    ) -> Result<Outcome<'a>, Refusal> {
        let seen = self.table.lookup(owner.id(), rcu);
        match (seen.found, mode) {
            (Some(node), Mode::Get) => {
                return Ok(Outcome {
                    // SAFETY: A member of this table, by the type invariant.
                    elem: unsafe { Element::of_node(node) },
                    created: false,
                });
            }
            (Some(_), Mode::NoExist) => return Err(Refusal::Exists),
            (None, Mode::Exist) => return Err(Refusal::Missing),
            _ => {}
        }
        if self.is_full() {
            return Err(self.counters().refused(Refusal::NoMemory));
        }
        // Held until the element is linked: a death notice after that finds it.
        let _gate = owner.gate(rcu)?;
        fault::pause(Site::Gate);
        let source = AllocSource::new(owner.payer(rcu), rcu);
        NewElement::new(self, owner.id(), source, init)
            .ok_or(Refusal::NoMemory)
            .and_then(|new| self.attach(new, seen, owner, mode, source, rcu))
            .map_err(|refusal| self.counters().refused(refusal))
    }

    fn attach<'a>(
        &'a self,
        new: NewElement<'a>,
        seen: Lookup<'a>,
        owner: &impl Owner,
        mode: Mode,
        source: AllocSource<'_>,
        rcu: &'a Guard,
    ) -> Result<Outcome<'a>, Refusal> {
        let id = new.id;
        trace::event(Event::Enter, id.addr());
        let index = &self.runtime.index;
        let mut storages = index.lookup_at(id.addr(), rcu);
        loop {
            let linked = match storages.found {
                Some(node) => {
                    // SAFETY: The members of the index are nodes of storages.
                    let storage = unsafe { Storage::of_node(node) };
                    if node.id() == id {
                        storage.lock.with(Site::LinkLock, |()| {
                            self.link(storage, &new, seen, owner, mode, rcu)
                        })?
                    } else {
                        self.runtime.end_stale(storage, rcu);
                        None
                    }
                }
                None if mode == Mode::Exist => return Err(Refusal::Missing),
                None => {
                    let new_storage = NewStorage::new(self.runtime, id, owner.ops(), source)?;
                    new_storage.publish_with(&new, storages, owner, rcu)?
                }
            };
            match linked {
                // The storage died, another one was first, or another owner's has ended. Somebody
                // got on, so look again.
                None => storages = index.relookup_at(storages, id.addr(), rcu),
                Some(Linked::Refused(refusal)) => return Err(refusal),
                Some(Linked::Other(elem)) => {
                    return Ok(Outcome {
                        elem,
                        created: false,
                    })
                }
                Some(Linked::New { replaced, created }) => {
                    let elem = new.into_linked();
                    if let Some(old) = replaced {
                        // SAFETY: `link` has claimed it.
                        unsafe { unlink::retire(old, rcu) };
                    }
                    return Ok(Outcome { elem, created });
                }
            }
        }
    }

    /// Links `new`, with the lock of `storage` held, which makes creators of one owner come one
    /// by one. [`None`]: the storage is dead.
    ///
    /// The owner is charged for a new element. One that takes the place of another takes over its
    /// charge too, so that an update needs no room below the owner's limit.
    fn link<'a>(
        &'a self,
        storage: &Storage,
        new: &NewElement<'a>,
        seen: Lookup<'a>,
        owner: &impl Owner,
        mode: Mode,
        rcu: &'a Guard,
    ) -> Option<Linked<'a>> {
        trace::event(Event::StorageLocked, storage.node.addr());
        if !storage.node.is_live() {
            return None;
        }
        let old = self.table.relookup(seen, new.id, rcu).found;
        // SAFETY: A member of this table, by the type invariant.
        let old = old.map(|node| unsafe { Element::of_node(node) });
        match (old, mode) {
            (Some(elem), Mode::Get) => return Some(Linked::Other(elem)),
            (Some(_), Mode::NoExist) => return Some(Linked::Refused(Refusal::Exists)),
            (None, Mode::Exist) => return Some(Linked::Refused(Refusal::Missing)),
            _ => {}
        }
        let elem = new.element();
        let stats = &self.runtime.stats;
        let Some(old) = old else {
            if !storage.pay_new(elem, 0, owner, stats) {
                return Some(Linked::Refused(Refusal::NoMemory));
            }
            // SAFETY: The lock is held.
            unsafe { self.push(storage, elem, self.new_seq(), rcu) };
            return Some(Linked::New {
                replaced: None,
                created: true,
            });
        };
        // SAFETY: The lock is held.
        unsafe { self.push(storage, elem, old.seq(), rcu) };
        // SAFETY: Likewise.
        let mut peers = unsafe { storage.elements.assume_locked() };
        if old.node.claim(Site::ElementClaim) {
            self.counters().this_cpu().replaced.add(1);
            fault::pause(Site::ListRemove);
            // SAFETY: Live elements of this owner are on the list of its live storage.
            unsafe { peers.remove(NonNull::from(&old.peers)) };
            old.reap_node.left_storage();
            if old.reap_node.paid.take() && !elem.reap_node.paid.give() {
                // SAFETY: The caller has the owner.
                unsafe { storage.give_back(self.charge(), stats) };
            }
            return Some(Linked::New {
                replaced: Some(old),
                created: false,
            });
        }
        // A delete was faster. It leaves nothing of an update that came before it, and that is
        // where this one goes if it must, or if there is no room any more. The old element stays
        // on the list as long as we hold the lock, so the storage is not empty.
        let before = mode == Mode::Exist || !storage.pay(elem, owner, stats);
        if before && elem.node.claim(Site::ElementClaim) {
            self.counters().this_cpu().replaced.add(1);
            fault::pause(Site::ListRemove);
            // SAFETY: It was put on this list above.
            unsafe { peers.remove(NonNull::from(&elem.peers)) };
            elem.reap_node.left_storage();
            return Some(Linked::New {
                replaced: Some(elem),
                created: false,
            });
        }
        // The update comes after the delete, and is a create: `old` keeps its number to itself.
        // One that insisted on an element has replaced `old`, and another delete has claimed `elem`.
        let created = mode != Mode::Exist;
        if created {
            elem.set_seq(self.new_seq());
        }
        Some(Linked::New {
            replaced: None,
            created,
        })
    }

    /// Puts a new element on the list of its storage, and into the table.
    ///
    /// # Safety
    ///
    /// `elem` must be new, and the lock of `storage` held.
    #[inline(always)]
    unsafe fn push(&self, storage: &Storage, elem: &Element, seq: u64, rcu: &Guard) {
        elem.set_seq(seq);
        elem.storage.set(Some(NonNull::from(storage)));
        elem.reap_node.link_both();
        self.counters().this_cpu().created.add(1);
        fault::pause(Site::ListPush);
        // SAFETY: By the contract.
        let mut peers = unsafe { storage.elements.assume_locked() };
        // SAFETY: The element is new, and the reaper frees it a grace period after it is unlinked.
        unsafe { peers.push(NonNull::from(&elem.peers)) };
        fault::pause(Site::ElementPush);
        // From here on the element can be found, and claimed.
        //
        // SAFETY: As above.
        unsafe { self.table.push(NonNull::from(&elem.node), rcu) };
    }
}

/// An element that its creator alone knows.
struct NewElement<'a> {
    map: &'a RawMap,
    id: OwnerId,
    elem: NonNull<Element>,
}

impl<'a> NewElement<'a> {
    fn new(
        map: &'a RawMap,
        id: OwnerId,
        source: AllocSource<'_>,
        init: impl FnOnce(NonNull<u8>),
    ) -> Option<Self> {
        let elem = Element::alloc(map, id, source)?;
        map.element_allocated();
        let new = Self { map, id, elem };
        init(new.element().value());
        Some(new)
    }

    fn element(&self) -> &'a Element {
        // SAFETY: Allocated and initialised by `new`; it stays until the reaper frees it, which
        // is a grace period away from being handed over, and a map waits for that.
        unsafe { self.elem.as_ref() }
    }

    fn into_linked(self) -> &'a Element {
        let elem = self.element();
        mem::forget(self);
        elem
    }
}

impl Drop for NewElement<'_> {
    /// Leaves the element to the reaper: this may be any context, and the value wants a better one.
    fn drop(&mut self) {
        let reaper = &self.map.runtime.reaper;
        // SAFETY: Nobody else has seen the element.
        unsafe { reaper.take(&self.element().reap_node, self.map.element_size()) };
    }
}

/// A storage that its creator alone knows.
struct NewStorage {
    runtime: &'static Runtime,
    storage: NonNull<Storage>,
}

impl NewStorage {
    fn new(
        runtime: &'static Runtime,
        id: OwnerId,
        ops: &'static OwnerOps,
        source: AllocSource<'_>,
    ) -> Result<Self, Refusal> {
        let storage = Storage::alloc(id, ops, source);
        let storage = storage.ok_or(Refusal::NoMemory)?;
        runtime.stats.this_cpu().storages.add(1);
        Ok(Self { runtime, storage })
    }

    /// Publishes the storage with its lock held, charges the owner for it and for `first`, and links
    /// that before another CPU can have the lock. [`None`]: another storage of the owner was first,
    /// and this one is gone.
    ///
    /// `first` replaces nothing: an element of the owner that is live is on the list of a storage
    /// that is live, and this is the only one.
    ///
    /// Only the first one is charged: a charge that is given back again could make somebody else
    /// fail who would have had the room.
    fn publish_with<'a>(
        self,
        first: &NewElement<'a>,
        storages: Lookup<'a>,
        owner: &impl Owner,
        rcu: &'a Guard,
    ) -> Result<Option<Linked<'a>>, Refusal> {
        // SAFETY: Allocated and initialised by `new`; after it is published, the guard and the
        // lock that is held keep it.
        let storage: &'a Storage = unsafe { self.storage.as_ref() };
        let runtime = self.runtime;
        let mut published = false;
        let mut paid = false;
        let linked = storage.lock.with(Site::LinkLock, |()| {
            let node = NonNull::from(&storage.node);
            fault::pause(Site::StoragePublish);
            // SAFETY: It is in no table, and the reaper frees it a grace period after it is out.
            if !unsafe { runtime.index.push_unique(node, storages, rcu) } {
                return None;
            }
            // Whoever retires it takes the lock first.
            storage.reap_node.link_table();
            published = true;
            paid = storage.pay_new(first.element(), Storage::CHARGE, owner, &runtime.stats);
            if !paid {
                // It ends as it began, empty; who waits for the lock looks again.
                storage.node.claim(Site::StorageClaim);
                return Some(Linked::Refused(Refusal::NoMemory));
            }
            trace::event(Event::StorageLocked, storage.node.addr());
            let map = first.map;
            // SAFETY: The lock is held.
            unsafe { map.push(storage, first.element(), map.new_seq(), rcu) };
            Some(Linked::New {
                replaced: None,
                created: true,
            })
        });
        if published {
            mem::forget(self);
            if !paid {
                // SAFETY: It was never anything but empty, and we have killed it.
                unsafe { unlink::retire_storage::<Spin>(runtime, storage, rcu) };
            }
        }
        Ok(linked?)
    }
}

impl Drop for NewStorage {
    /// Leaves the storage to the reaper: memory cannot be freed in any context.
    fn drop(&mut self) {
        // SAFETY: Allocated and initialised by `new`.
        let storage: &Storage = unsafe { self.storage.as_ref() };
        let reaper = &self.runtime.reaper;
        // SAFETY: Nobody else has seen it.
        unsafe { reaper.take(&storage.reap_node, size_of::<Storage>()) };
    }
}
