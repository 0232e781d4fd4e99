// SPDX-License-Identifier: GPL-2.0

//! Elements that are found through their owner.
//!
//! An owner that has a field for it keeps pointers to elements of its own there. A lookup that
//! comes by the owner follows such a *hint* if it leads to a live element of the map, and needs no
//! table then. In all other cases the table decides: a hint never tells that there is no element.
//! `Documentation/ordering.rst` has the argument that both ways give one answer.

use super::{
    element::Element,
    owner::OwnerId,
    raw_map::RawMap, //
};
use crate::sync::{
    compat::barrier::{
        self,
        ordering::Read, //
    },
    rcu::{
        Guard,
        RcuPtr, //
    },
    Full, //
};
use core::ptr::{
    self,
    NonNull, //
};

/// The number of hints of an owner. The number of a map tells which one is the map's.
const COUNT: usize = 4;

/// Pointers to elements of one owner, in the memory of that owner.
///
/// | leads to   | meaning                          | changed by, and to                           |
/// |------------|----------------------------------|----------------------------------------------|
/// | nothing    | the table decides                | a creator, to its element, after the element |
/// |            |                                  | was pushed into the table                    |
/// | an element | lookups find it while it is live | an update, before it pushes a new element of |
/// |            |                                  | the owner in that map, to nothing; the       |
/// |            |                                  | claimer, before it unlinks the element, to   |
/// |            |                                  | nothing; the creator of an element in        |
/// |            |                                  | another map, to that element                 |
///
/// Creators and updates hold the lock of the owner's storage. A claimer is a visitor: see
/// [`Charge`](super::charge::Charge). The notice of death ends all hints before it ends the
/// elements.
///
/// # Invariants
///
/// An element that a hint leads to is an element of this owner, and valid until a grace period
/// after the hint has changed.
pub struct Hints([RcuPtr<Element>; COUNT]);

impl Hints {
    /// Hints that lead to nothing.
    pub(crate) const fn new() -> Self {
        Self([const { RcuPtr::null() }; COUNT])
    }

    /// The hint for elements of `map`, and of each [`COUNT`]th map.
    #[inline(always)]
    fn of(&self, map: &RawMap) -> &RcuPtr<Element> {
        &self.0[map.id() as usize % COUNT]
    }

    /// Lets the hint of its map lead to `elem`, unless a claimer may have looked at the hint
    /// before.
    ///
    /// # Safety
    ///
    /// `elem` must be an element of this owner, on the list of its storage. The caller must hold
    /// the lock of that storage.
    pub(super) unsafe fn set(&self, elem: &Element) {
        // INVARIANT: A claimer needs the lock that the caller holds to unlink the element. If it
        // has looked at the hint before, this finds the element dead below, and the hint does not
        // lead to it any more when the lock is released. Otherwise the claimer finds the hint.
        self.of(elem.map()).assign(ptr::from_ref(elem).cast_mut());
        barrier::smp_mb(Full);
        if !elem.node.is_live() {
            self.forget(elem);
        }
    }

    /// Lets no hint lead to `elem`.
    pub(super) fn forget(&self, elem: &Element) {
        let hint = self.of(elem.map());
        hint.replace(ptr::from_ref(elem).cast_mut(), ptr::null_mut());
    }

    /// Lets no hint lead to any element. For the owner, a grace period after its gate was closed
    /// and before its notice of death.
    pub(crate) fn end(&self) {
        self.0.iter().for_each(|hint| hint.set(ptr::null_mut()));
    }
}

impl RawMap {
    /// Finds the element of the owner at `addr` by its hints. Finds nothing if the table has to
    /// decide: the caller goes on to [`RawMap::find_in_leaf`], out of line, so that a lookup by a
    /// hint needs no stack frame. Any context; takes no lock.
    #[inline(always)]
    pub(super) fn find_by_hint<'a>(
        &'a self,
        addr: usize,
        hints: &Hints,
        _rcu: &'a Guard,
    ) -> Option<&'a Element> {
        // The hint and the bucket are two words. The barrier puts the loads of this lookup behind
        // those of the lookups before it, by either word. The acquire puts it before those that
        // follow. So does the one of the key: what has killed the element came after the next one
        // was pushed.
        barrier::smp_mb(Read);
        let elem = NonNull::new(hints.of(self).load_acquire())?;
        // SAFETY: The pointer was loaded under the guard. By the type invariant of `Hints` the
        // element is valid until a grace period after the hint has changed.
        let elem: &'a Element = unsafe { elem.as_ref() };
        (ptr::eq(elem.map(), self) && elem.node.matches_addr(addr)).then_some(elem)
    }

    /// Finds the value of the owner whose identity `id` returns, by its hints if it has any. Any
    /// context; takes no lock. For callers that call no function, as [`RawMap::find_in_leaf`].
    #[inline(always)]
    pub(crate) fn value_through(
        &self,
        id: impl Fn() -> OwnerId,
        hints: Option<&Hints>,
        rcu: &Guard,
    ) -> Option<NonNull<u8>> {
        let Some(hints) = hints else {
            return Some(self.find_in_leaf(id(), rcu)?.value());
        };
        match self.find_by_hint(id().addr(), hints, rcu) {
            Some(elem) => Some(elem.value()),
            None => self.value_behind_hint(rcu, id()),
        }
    }

    #[cold]
    #[inline(never)]
    fn value_behind_hint(&self, rcu: &Guard, id: OwnerId) -> Option<NonNull<u8>> {
        Some(self.find_in_leaf(id, rcu)?.value())
    }
}
