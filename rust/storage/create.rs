// SPDX-License-Identifier: GPL-2.0

//! Create and update of elements.

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
    reserve::{
        Reserve,
        Source, //
    },
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

/// What to do if the owner has an element, and if it has none.
#[derive(Copy, Clone, PartialEq, Eq)]
pub enum Mode {
    /// Return the element, or create one.
    Get,
    /// Replace the element, or create one.
    Any,
    /// Refuse, or create an element.
    NoExist,
    /// Replace the element, or refuse.
    Exist,
}

/// The result of a create or update.
pub(crate) struct Outcome<'a> {
    /// The element. It was live when the operation took effect.
    pub(crate) elem: &'a Element,
    /// Whether the operation created the element, and did not replace another one.
    pub(crate) created: bool,
}

/// The result of an attempt to link a new element, with its storage's lock held.
enum Linked<'a> {
    /// The element was linked. `replaced` was removed from the storage's list, and the caller must
    /// retire it. `created` becomes [`Outcome::created`].
    New {
        replaced: Option<&'a Element>,
        created: bool,
    },
    /// The element was not linked. There is this one, and the mode accepts it.
    Existing(&'a Element),
    /// The element was not linked, for this reason.
    Refused(Refusal),
}

impl RawMap {
    /// Runs `op`, which stores something in this map. If it fails for lack of memory, waits until
    /// the reaper has freed what is dead, and runs it again. That helps if too much waited to be
    /// freed, and if the payer is at its limit. May sleep.
    pub(crate) fn retry_after_reap<R>(&self, mut op: impl FnMut() -> Result<R>) -> Result<R> {
        const TRIES: u32 = 8;

        let reaper = &self.runtime.reaper;
        let mut result = op();
        for turn in 0..TRIES {
            let is_refused = matches!(&result, Err(err) if *err == ENOMEM);
            // If the payer is at its limit, one try is enough. More are needed only if other CPUs
            // use up what was freed.
            if !is_refused || !reaper.has_dead() || turn > 0 && !self.is_full() {
                break;
            }
            // The refusal was counted, and is not final.
            self.counters().nomem.sub(1);
            reaper.make_room();
            result = op();
        }
        result
    }

    /// Gets, creates or updates the element of the owner. `init` writes the value of a new element.
    ///
    /// Any context. Stores nothing once [`RawMap::is_ending`], and fails with
    /// [`Refusal::OwnerDead`]. Fails with [`Refusal::NoMemory`] while too much waits to be freed.
    /// Takes the lock of the owner's storage, unless the first lookup decides. If two CPUs create
    /// an element for one owner at the same time, one of them creates it, and both get it.
    ///
    /// If an update finds that a concurrent delete has claimed the element that it replaces, its
    /// place in the order of operations depends on the mode. An update with [`Mode::Exist`] takes
    /// effect just before the delete. An update with [`Mode::Any`] takes effect just after it.
    ///
    /// # Safety
    ///
    /// `init` must initialise a value of this map.
    pub(crate) unsafe fn put<'a, O: Owner>(
        &'a self,
        owner: &O,
        mode: Mode,
        init: impl FnOnce(NonNull<u8>),
        rcu: &'a Guard,
    ) -> Result<Outcome<'a>, Refusal> {
        // SAFETY: By the safety requirements.
        unsafe {
            self.put_with(
                owner,
                mode,
                init,
                || !self.is_full(),
                || AllocSource::new(owner.payer(rcu), rcu),
                rcu,
            )
        }
    }

    /// As [`RawMap::put`], with memory of `reserve`. Does not fail with [`Refusal::NoMemory`] if
    /// there is memory for one create, and if the owner is not charged or has room.
    ///
    /// # Safety
    ///
    /// As for [`RawMap::put`].
    pub(crate) unsafe fn put_from<'a, O: Owner>(
        &'a self,
        reserve: &Reserve,
        owner: &O,
        mode: Mode,
        init: impl FnOnce(NonNull<u8>),
        rcu: &'a Guard,
    ) -> Result<Outcome<'a>, Refusal> {
        // SAFETY: By the safety requirements.
        unsafe { self.put_with(owner, mode, init, || true, || reserve, rcu) }
    }

    /// As [`RawMap::put`], with memory of `source`, which is called with the gate held. If an
    /// element is to be created, fails with [`Refusal::NoMemory`] unless `has_room` returns true.
    ///
    /// # Safety
    ///
    /// As for [`RawMap::put`].
    #[inline(always)]
    unsafe fn put_with<'a, O: Owner, S: Source>(
        &'a self,
        owner: &O,
        mode: Mode,
        init: impl FnOnce(NonNull<u8>),
        has_room: impl FnOnce() -> bool,
        source: impl FnOnce() -> S,
        rcu: &'a Guard,
    ) -> Result<Outcome<'a>, Refusal> {
        let seen = self.table.lookup(owner.id(), rcu);
        match (seen.found, mode) {
            (Some(node), Mode::Get) => {
                return Ok(Outcome {
                    // SAFETY: By the type invariant the members of the table are the `node` fields
                    // of elements.
                    elem: unsafe { Element::of_node(node) },
                    created: false,
                });
            }
            (Some(_), Mode::NoExist) => return Err(Refusal::Exists),
            (None, Mode::Exist) => return Err(Refusal::Missing),
            _ => {}
        }
        // The end of a map that its module can still use waits for operations that pass here.
        if self.is_ending() {
            return Err(Refusal::OwnerDead);
        }
        if !has_room() {
            return Err(self.counters().refused(Refusal::NoMemory));
        }
        // Held until the element is linked. So a notice of death that follows finds the element.
        let _gate = owner.gate(rcu)?;
        fault::pause(Site::Gate);
        let source = source();
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
        source: impl Source,
        rcu: &'a Guard,
    ) -> Result<Outcome<'a>, Refusal> {
        let id = new.id;
        trace::event(Event::Enter, id.addr());
        let index = &self.runtime.index;
        let mut storages = index.lookup_at(id.addr(), rcu);
        loop {
            let linked = match storages.found {
                Some(node) => {
                    // SAFETY: By the type invariant of `Runtime` the members of the index are the
                    // `node` fields of storages.
                    let storage = unsafe { Storage::of_node(node) };
                    // They have the same address.
                    if node.has_stamp_of(id) {
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
                // The storage is dead, or another CPU has published one, or a stale one was ended.
                // In each case an operation on this owner has made progress. Look again.
                None => storages = index.relookup_at(storages, id.addr(), rcu),
                Some(Linked::Refused(refusal)) => return Err(refusal),
                Some(Linked::Existing(elem)) => {
                    return Ok(Outcome {
                        elem,
                        created: false,
                    })
                }
                Some(Linked::New { replaced, created }) => {
                    let elem = new.into_linked();
                    if let Some(old) = replaced {
                        // SAFETY: `link` has claimed `old`, and nothing else uses the claim.
                        unsafe { unlink::retire(old, rcu) };
                    }
                    return Ok(Outcome { elem, created });
                }
            }
        }
    }

    /// Links `new`. The caller holds the lock of `storage`, which serializes all creators of one
    /// owner. Returns [`None`] if the storage is dead.
    ///
    /// The owner is charged for a new element. An element that replaces another one takes over its
    /// charge. So an update succeeds even if the owner is at its limit.
    ///
    /// Inlined, since a call with that many arguments costs a create 50 instructions.
    #[inline(always)]
    fn link<'a>(
        &'a self,
        storage: &Storage,
        new: &NewElement<'a>,
        seen: Lookup<'a>,
        owner: &impl Owner,
        mode: Mode,
        rcu: &'a Guard,
    ) -> Option<Linked<'a>> {
        trace::event(Event::StorageLocked, new.id.addr());
        if !storage.node.is_live() {
            return None;
        }
        let old = self.table.relookup(seen, new.id, rcu).found;
        // SAFETY: By the type invariant the members of the table are the `node` fields of elements.
        let old = old.map(|node| unsafe { Element::of_node(node) });
        match (old, mode) {
            (Some(elem), Mode::Get) => return Some(Linked::Existing(elem)),
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
            // SAFETY: `elem` is new, and the caller holds the lock.
            unsafe { self.push(storage, elem, None, rcu) };
            return Some(Linked::New {
                replaced: None,
                created: true,
            });
        };
        // SAFETY: As above.
        unsafe { self.push(storage, elem, Some(old), rcu) };
        // SAFETY: The caller holds the lock, which serializes changes of this list.
        let mut peers = unsafe { storage.elements.assume_locked() };
        if old.node.claim(Site::ElementClaim) {
            self.counters().this_cpu().replaced.add(1);
            fault::pause(Site::ListRemove);
            // SAFETY: `old` was live. A live element is on the list of its owner's live storage,
            // which this is.
            unsafe { peers.remove(NonNull::from(&old.peers)) };
            old.reap_node.left_storage();
            if old.reap_node.paid.take() && !elem.reap_node.paid.give() {
                // SAFETY: The caller has a reference to the owner, so the owner is alive.
                unsafe { storage.give_back(self.charge(), stats) };
            }
            return Some(Linked::New {
                replaced: Some(old),
                created: false,
            });
        }
        // A concurrent delete has claimed `old` first. With `Mode::Exist`, or if the new element
        // cannot be charged, linearize this update before that delete: claim the new element again,
        // and unlink it. Otherwise linearize it after the delete, as a create. The delete needs the
        // lock to remove `old` from the list, so the list does not become empty here.
        let before = mode == Mode::Exist || !storage.pay(elem, owner, stats);
        if before && elem.node.claim(Site::ElementClaim) {
            self.counters().this_cpu().replaced.add(1);
            fault::pause(Site::ListRemove);
            // SAFETY: `push` has put it on this list, and this call has claimed it.
            unsafe { peers.remove(NonNull::from(&elem.peers)) };
            elem.reap_node.left_storage();
            return Some(Linked::New {
                replaced: Some(elem),
                created: false,
            });
        }
        // With `Mode::Any`, this update comes after the delete, and is a create. So the new element
        // gets a number of its own. With `Mode::Exist`, it has replaced `old`, and another delete
        // has claimed `elem` since.
        let created = mode != Mode::Exist;
        if created {
            elem.set_seq(self.new_seq());
        }
        Some(Linked::New {
            replaced: None,
            created,
        })
    }

    /// Puts a new element on the list of its storage, and into the table. It gets the number of
    /// `old`, which it replaces, or a new one. A hint of the owner then leads to it, if the owner
    /// has hints.
    ///
    /// # Safety
    ///
    /// `elem` must be new. The caller must hold the lock of `storage`, and have a reference to its
    /// owner.
    #[inline(always)]
    unsafe fn push(&self, storage: &Storage, elem: &Element, old: Option<&Element>, rcu: &Guard) {
        if storage.has_hints() {
            // SAFETY: The safety requirements are those of this function.
            unsafe { self.push_and_hint(storage, elem, old, rcu) };
        } else {
            // SAFETY: As above.
            unsafe { self.push_only(storage, elem, old, rcu) };
        }
    }

    /// As [`RawMap::push`], for an owner with hints. Out of line, so that the others pay for a
    /// branch only.
    ///
    /// # Safety
    ///
    /// As for [`RawMap::push`].
    #[cold]
    #[inline(never)]
    unsafe fn push_and_hint(
        &self,
        storage: &Storage,
        elem: &Element,
        old: Option<&Element>,
        rcu: &Guard,
    ) {
        if let Some(old) = old {
            // Lookups by the owner must not find `old` once others can find the new element.
            //
            // SAFETY: The caller has a reference to the owner.
            unsafe { storage.forget_hint(old) };
        }
        // SAFETY: The safety requirements are those of this function.
        unsafe { self.push_only(storage, elem, old, rcu) };
        // SAFETY: By the safety requirements the lock is held, and the caller has a reference to
        // the owner. The element was put on the list and into the table above.
        unsafe { storage.hint_at(elem) };
    }

    /// As [`RawMap::push`], without the hint.
    ///
    /// # Safety
    ///
    /// As for [`RawMap::push`].
    #[inline(always)]
    unsafe fn push_only(
        &self,
        storage: &Storage,
        elem: &Element,
        old: Option<&Element>,
        rcu: &Guard,
    ) {
        elem.set_seq(old.map_or_else(|| self.new_seq(), Element::seq));
        elem.storage.set(Some(NonNull::from(storage)));
        elem.reap_node.link_both();
        self.counters().this_cpu().created.add(1);
        fault::pause(Site::ListPush);
        // SAFETY: By the safety requirements the lock is held.
        let mut peers = unsafe { storage.elements.assume_locked() };
        // SAFETY: By the safety requirements the element is new, so it is on no list. The reaper
        // frees it a grace period after it is unlinked.
        unsafe { peers.push(NonNull::from(&elem.peers)) };
        fault::pause(Site::ElementPush);
        // From here on other CPUs can find the element, and claim it.
        //
        // SAFETY: As above.
        unsafe { self.table.push(NonNull::from(&elem.node), rcu) };
    }
}

/// A new element. No CPU but the creator's knows it.
///
/// # Invariants
///
/// `elem` is an element of `map` that is on no list. This object owns it.
struct NewElement<'a> {
    map: &'a RawMap,
    id: OwnerId,
    elem: NonNull<Element>,
}

impl<'a> NewElement<'a> {
    fn new(
        map: &'a RawMap,
        id: OwnerId,
        source: impl Source,
        init: impl FnOnce(NonNull<u8>),
    ) -> Option<Self> {
        let elem = Element::alloc(map, id, source)?;
        map.element_allocated();
        let new = Self { map, id, elem };
        init(new.element().value());
        Some(new)
    }

    fn element(&self) -> &'a Element {
        // SAFETY: `new` has allocated and initialised the element. The reaper frees it a grace
        // period after it was linked and unlinked again, or handed over. The caller of `put` keeps
        // its guard and the map for `'a`.
        unsafe { self.elem.as_ref() }
    }

    fn into_linked(self) -> &'a Element {
        let elem = self.element();
        mem::forget(self);
        elem
    }
}

impl Drop for NewElement<'_> {
    /// Hands the element to the reaper. This may be any context, and the value must be dropped in a
    /// kworker.
    fn drop(&mut self) {
        let reaper = &self.map.runtime.reaper;
        // SAFETY: By the type invariant this object owns the element, which is on no list.
        unsafe { reaper.take(&self.element().reap_node, self.map.element_size()) };
    }
}

/// A new storage. No CPU but the creator's knows it.
///
/// # Invariants
///
/// `storage` is a storage that is not in the index. This object owns it.
struct NewStorage<S: Source> {
    runtime: &'static Runtime,
    storage: NonNull<Storage>,
    source: S,
}

impl<S: Source> NewStorage<S> {
    #[inline(always)]
    fn new(
        runtime: &'static Runtime,
        id: OwnerId,
        ops: &'static OwnerOps,
        source: S,
    ) -> Result<Self, Refusal> {
        let storage = Storage::alloc(id, ops, source);
        let storage = storage.ok_or(Refusal::NoMemory)?;
        runtime.stats.this_cpu().storages.add(1);
        Ok(Self {
            runtime,
            storage,
            source,
        })
    }

    /// Publishes the storage with its lock held, charges the owner for it and for `first`, and
    /// links `first` before another CPU can take the lock. Returns [`None`], and hands the new
    /// storage to the reaper, if the index has another storage of the owner.
    ///
    /// `first` replaces no element: the owner's live elements are on the list of its live storage,
    /// and this is the only one.
    ///
    /// Only the storage that is published is charged. If each of several creators charged its own,
    /// the charges of those that lose would count against the owner's limit for a moment, and a
    /// create for which there is room could fail.
    fn publish_with<'a>(
        self,
        first: &NewElement<'a>,
        storages: Lookup<'a>,
        owner: &impl Owner,
        rcu: &'a Guard,
    ) -> Result<Option<Linked<'a>>, Refusal> {
        // SAFETY: `new` has allocated and initialised the storage. After it was published, it is
        // freed a grace period after it was taken out of the index, which does not pass under the
        // guard.
        let storage: &'a Storage = unsafe { self.storage.as_ref() };
        let runtime = self.runtime;
        let mut published = false;
        let mut paid = false;
        let linked = storage.lock.with(Site::LinkLock, |()| {
            let node = NonNull::from(&storage.node);
            fault::pause(Site::StoragePublish);
            // SAFETY: The storage is in no table. The reaper frees it a grace period after it was
            // taken out.
            if !unsafe { runtime.index.push_unique(node, storages, rcu) } {
                return None;
            }
            // A CPU that retires the storage takes the lock first, so it sees this.
            storage.reap_node.link_table();
            published = true;
            paid = storage.pay_new(first.element(), Storage::CHARGE, owner, &runtime.stats);
            if !paid {
                // The storage ends as it began, empty. CPUs that wait for the lock find it dead,
                // and look again.
                storage.node.claim(Site::StorageClaim);
                return Some(Linked::Refused(Refusal::NoMemory));
            }
            trace::event(Event::StorageLocked, first.id.addr());
            let map = first.map;
            // SAFETY: `first` is new, and the lock is held.
            unsafe { map.push(storage, first.element(), None, rcu) };
            Some(Linked::New {
                replaced: None,
                created: true,
            })
        });
        if published {
            mem::forget(self);
            if !paid {
                // SAFETY: The storage is empty, and this call has claimed it.
                unsafe { unlink::retire_storage::<Spin>(runtime, storage, rcu) };
            }
        }
        Ok(linked?)
    }
}

impl<S: Source> Drop for NewStorage<S> {
    /// Gives the storage back to its source, or hands it to the reaper: this may be any context,
    /// and memory cannot be freed in any.
    fn drop(&mut self) {
        // SAFETY: By the type invariant this object owns the storage, which comes from the source.
        if unsafe { self.source.put_back_storage(self.storage.cast()) } {
            self.runtime.stats.this_cpu().storages.sub(1);
            return;
        }
        // SAFETY: By the type invariant this object owns the storage, so it is valid.
        let storage: &Storage = unsafe { self.storage.as_ref() };
        let reaper = &self.runtime.reaper;
        // SAFETY: As above, and the storage is not in the index.
        unsafe { reaper.take(&storage.reap_node, size_of::<Storage>()) };
    }
}
