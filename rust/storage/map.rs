// SPDX-License-Identifier: GPL-2.0

//! Maps of values of a type, and maps of bytes.

use super::{
    create::{
        Mode,
        Outcome, //
    },
    element::Element,
    error::Refusal,
    hints::Hints,
    owner::{
        Owner,
        OwnerId, //
    },
    raw_map::{
        RawMap,
        Values, //
    }, //
};
use crate::sync::{
    nolock,
    rcu::Guard, //
};
use core::{
    ffi::c_void,
    marker::PhantomData,
    ops::Deref,
    ptr::NonNull,
    slice, //
};
use kernel::prelude::*;

/// The result of a create or update.
pub struct Stored<V> {
    /// The value.
    pub value: V,
    /// The sequence number of the element in its map.
    pub seq: u64,
    /// Whether the operation created the element, and did not replace another one.
    pub created: bool,
}

/// A map that is ended when this object is dropped, see [`RawMap::end`]. The drop may sleep.
///
/// # Invariants
///
/// The pointer comes from [`RawMap::new`], and this object is the map's holder.
pub(crate) struct OwnedMap(NonNull<RawMap>);

// SAFETY: A map may be used and ended on any thread.
unsafe impl Send for OwnedMap {}
// SAFETY: As above.
unsafe impl Sync for OwnedMap {}

impl OwnedMap {
    /// An empty map of values whose type only their functions know. May sleep. Fails with `EINVAL`
    /// if the size is 0, and with `E2BIG` if values of this size could not be allocated in every
    /// context.
    ///
    /// # Safety
    ///
    /// The caller must meet the safety requirements of [`Values`].
    pub(crate) unsafe fn new(value_size: usize, values: Values) -> Result<Self> {
        if value_size == 0 {
            return Err(EINVAL);
        }
        // INVARIANT: The pointer comes from `RawMap::new`, and no other object has it.
        //
        // SAFETY: By the safety requirements.
        Ok(Self(unsafe { RawMap::new(value_size, values) }?))
    }

    /// The holder of the map, for code that ends maps of any type.
    ///
    /// # Safety
    ///
    /// This object must not be dropped, nor used after the returned one was dropped.
    #[inline]
    pub(crate) unsafe fn holder(&self) -> Self {
        // INVARIANT: By the safety requirements this object is not the holder any more.
        Self(self.0)
    }
}

impl Deref for OwnedMap {
    type Target = RawMap;

    #[inline(always)]
    fn deref(&self) -> &RawMap {
        // SAFETY: By the type invariant the map is valid until it is ended.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for OwnedMap {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the pointer comes from `RawMap::new`. It is not used again.
        unsafe { RawMap::end(self.0) };
    }
}

/// A map of values of type `T`, at most one per owner.
///
/// A value that was stored is dropped once, in a kworker, where its drop may sleep: a grace period
/// after its element was deleted or replaced, or has died with its owner or with the map. A value
/// that could not be stored is dropped in the same way. The drop of the map waits for all values,
/// and may sleep.
///
/// A value must not hold a reference to its own owner. Otherwise neither is freed before the map is
/// dropped. `Documentation/owners.rst` describes what to do instead.
///
/// All operations work in any context. A reference to a value lives as long as the RCU guard under
/// which it was found.
pub(crate) struct Map<T: Send + Sync + 'static> {
    raw: OwnedMap,
    _values: PhantomData<T>,
}

#[cfg_attr(
    not(OSTOR_TEST),
    allow(
        dead_code,
        reason = "the suites and the models; other modules have `api::Map`"
    )
)]
impl<T: Send + Sync + 'static> Map<T> {
    /// An empty map. May sleep. Fails with `E2BIG` if a `T` is too large to be allocated in every
    /// context.
    pub(crate) fn new() -> Result<Self> {
        Self::with_values(Self::VALUES)
    }

    /// An empty map that clones: an owner that is created from another one, as an accepted socket
    /// is, gets a clone of that one's value. `T::clone()` is called in any context.
    pub(crate) fn new_cloning() -> Result<Self>
    where
        T: Clone,
    {
        Self::with_values(Values {
            clone: Some(clone_value::<T>),
            ..Self::VALUES
        })
    }

    const VALUES: Values = Values {
        drop: if core::mem::needs_drop::<T>() {
            Some(drop_value::<T>)
        } else {
            None
        },
        clone: None,
    };

    fn with_values(values: Values) -> Result<Self> {
        const { assert!(align_of::<T>() <= nolock::MAX_ALIGN) };
        // SAFETY: `T` is `Send` and `Sync`, so values may be dropped and cloned on any thread.
        let raw = unsafe { RawMap::new(size_of::<T>(), values) }?;
        Ok(Self {
            // INVARIANT: The pointer comes from `RawMap::new`, and no other object has it.
            raw: OwnedMap(raw),
            _values: PhantomData,
        })
    }

    /// The map without its type.
    #[inline(always)]
    pub(crate) fn raw(&self) -> &OwnedMap {
        &self.raw
    }

    /// The value of an element of this map.
    pub(crate) fn value<'a>(&self, elem: &'a Element) -> &'a T {
        // SAFETY: The elements of this map hold a `T` each. It is only shared until the element is
        // freed.
        unsafe { elem.value().cast().as_ref() }
    }

    /// The value of the owner. Takes no lock.
    #[inline]
    pub(crate) fn get<'a>(&'a self, owner: &impl Owner, rcu: &'a Guard) -> Option<&'a T> {
        self.get_through(|| owner.id(), owner.hints(), rcu)
    }

    /// The value of the owner whose identity `id` returns, and whose hints are `hints`. Takes no
    /// lock.
    #[inline(always)]
    pub(crate) fn get_through<'a>(
        &'a self,
        id: impl Fn() -> OwnerId,
        hints: Option<&Hints>,
        rcu: &'a Guard,
    ) -> Option<&'a T> {
        let value = self.raw.value_through(id, hints, rcu)?;
        // SAFETY: As in `value`. The element is not freed while the guard lives.
        Some(unsafe { value.cast().as_ref() })
    }

    /// The value of the owner. If there is none, stores the one that `new` returns.
    ///
    /// If several CPUs call this at the same time, all get the same value.
    pub(crate) fn get_or_create<'a>(
        &'a self,
        owner: &impl Owner,
        new: impl FnOnce() -> T,
        rcu: &'a Guard,
    ) -> Result<Stored<&'a T>, Refusal> {
        self.put(owner, Mode::Get, new, rcu)
    }

    /// Stores `value` as `mode` demands.
    pub(crate) fn update<'a>(
        &'a self,
        owner: &impl Owner,
        mode: Mode,
        value: T,
        rcu: &'a Guard,
    ) -> Result<Stored<&'a T>, Refusal> {
        self.put(owner, mode, || value, rcu)
    }

    fn put<'a>(
        &'a self,
        owner: &impl Owner,
        mode: Mode,
        new: impl FnOnce() -> T,
        rcu: &'a Guard,
    ) -> Result<Stored<&'a T>, Refusal> {
        // SAFETY: `RawMap::put` calls this with memory for a value, which is a `T`.
        let init = |value: NonNull<u8>| unsafe { value.cast::<T>().write(new()) };
        // SAFETY: `init` writes a `T`.
        Ok(self.stored(unsafe { self.raw.put(owner, mode, init, rcu) }?))
    }

    /// The value of an element of this map that an operation ended with.
    pub(crate) fn stored<'a>(&self, outcome: Outcome<'a>) -> Stored<&'a T> {
        Stored {
            value: self.value(outcome.elem),
            seq: outcome.elem.seq(),
            created: outcome.created,
        }
    }

    /// Deletes the value of the owner, and returns it. Never fails because a lock is unavailable:
    /// unlinking is then left to the reaper.
    pub(crate) fn delete<'a>(
        &'a self,
        owner: &impl Owner,
        rcu: &'a Guard,
    ) -> Result<&'a T, Refusal> {
        self.delete_by_id(owner.id(), rcu)
    }

    /// As [`Map::delete`], of the owner with this identity.
    pub(crate) fn delete_by_id<'a>(
        &'a self,
        id: OwnerId,
        rcu: &'a Guard,
    ) -> Result<&'a T, Refusal> {
        let deleted = self.raw.delete(id, rcu).ok_or(Refusal::Missing)?;
        Ok(self.value(deleted))
    }
}

/// The [`DropValue`](super::raw_map::DropValue) of a map of `T`.
///
/// # Safety
///
/// A `T` must be at the address, and must not be used again.
unsafe extern "C" fn drop_value<T>(value: *mut c_void) {
    // SAFETY: By the safety requirements.
    unsafe { value.cast::<T>().drop_in_place() };
}

/// The [`CloneValue`](super::raw_map::CloneValue) of a map of `T`.
///
/// # Safety
///
/// A `T` must be at `from`, and memory for one at `to`.
unsafe extern "C" fn clone_value<T: Clone>(to: *mut c_void, from: *const c_void, _size: usize) {
    // SAFETY: By the safety requirements a `T` is there. It is only shared until it is dropped.
    let value = unsafe { &*from.cast::<T>() };
    // SAFETY: By the safety requirements there is memory for a `T`.
    unsafe { to.cast::<T>().write(value.clone()) };
}

/// The [`CloneValue`](super::raw_map::CloneValue) of values that are copied as bytes.
///
/// # Safety
///
/// `size` bytes must be readable at `from`, and writable at `to`, and must not overlap.
pub(crate) unsafe extern "C" fn copy_value(to: *mut c_void, from: *const c_void, size: usize) {
    // SAFETY: By the safety requirements.
    unsafe { to.copy_from_nonoverlapping(from, size) };
}

/// Initialises a value of `size` bytes: by `bytes`, and by zeroes if they are too few. Surplus
/// bytes are left out.
///
/// # Safety
///
/// There must be memory for a value at `value`.
#[inline(always)]
pub(crate) unsafe fn write_value(value: NonNull<u8>, size: usize, bytes: &[u8]) {
    if bytes.is_empty() {
        // SAFETY: The safety requirements are those of this function.
        return unsafe { zero_value(value, size) };
    }
    let given = bytes.len().min(size);
    // SAFETY: By the safety requirements there are `size` bytes.
    unsafe { value.copy_from_nonoverlapping(NonNull::from(bytes).cast(), given) };
    if given != size {
        // SAFETY: As above.
        unsafe { value.add(given).write_bytes(0, size - given) };
    }
}

/// Zeroes a value of `size` bytes.
///
/// A small one is zeroed faster than `memset()` begins to. The stores are volatile: of others the
/// compiler makes a call of `memset()`. Not inlined, as the compiler unrolls the loop.
///
/// # Safety
///
/// As for [`write_value`].
#[inline(never)]
unsafe fn zero_value(value: NonNull<u8>, size: usize) {
    const WORD: usize = size_of::<u64>();
    /// The bits of the sizes of small values: those of whole words below 256 bytes.
    const SMALL: usize = 256 - WORD;
    const { assert!(align_of::<u64>() <= nolock::MAX_ALIGN) };

    if size & !SMALL != 0 {
        // SAFETY: By the safety requirements there are `size` bytes.
        return unsafe { value.write_bytes(0, size) };
    }
    for n in 0..size / WORD {
        // SAFETY: As above, aligned as values are.
        unsafe { value.cast::<u64>().add(n).write_volatile(0) };
    }
}

/// A map of values of a size that is chosen when the map is made.
///
/// The bytes of a stored value do not change. An update makes a new element.
pub struct ByteMap {
    raw: OwnedMap,
}

impl ByteMap {
    /// An empty map. May sleep. Fails with `EINVAL` if the size is 0, and with `E2BIG` if values of
    /// this size could not be allocated in every context.
    pub(crate) fn new(value_size: usize) -> Result<Self> {
        Self::with_values(value_size, Values::default())
    }

    /// An empty map that clones: an owner that is created from another one, as an accepted socket
    /// is, gets a copy of that one's value. Fails as [`ByteMap::new`] does.
    pub(crate) fn new_cloning(value_size: usize) -> Result<Self> {
        let values = Values {
            drop: None,
            clone: Some(copy_value),
        };
        Self::with_values(value_size, values)
    }

    fn with_values(value_size: usize, values: Values) -> Result<Self> {
        // SAFETY: Values are bytes, which need no drop, and `copy_value` may be called on any
        // thread.
        let raw = unsafe { OwnedMap::new(value_size, values) }?;
        Ok(Self { raw })
    }

    /// The map without the type of its values.
    #[inline(always)]
    pub(crate) fn raw(&self) -> &OwnedMap {
        &self.raw
    }

    /// The value of the owner with this identity. Takes no lock.
    #[inline(always)]
    pub(crate) fn get_by_id<'a>(&'a self, id: OwnerId, rcu: &'a Guard) -> Option<&'a [u8]> {
        self.get_through(|| id, None, rcu)
    }

    /// The value of the owner whose identity `id` returns, and whose hints are `hints`. Takes no
    /// lock.
    ///
    /// By [`RawMap::value_through`], a lookup by a hint would take two instructions more: the size
    /// would be loaded where all ways meet.
    #[inline(always)]
    pub(crate) fn get_through<'a>(
        &'a self,
        id: impl Fn() -> OwnerId,
        hints: Option<&Hints>,
        rcu: &'a Guard,
    ) -> Option<&'a [u8]> {
        let Some(hints) = hints else {
            return Some(self.value(self.raw.find_in_leaf(id(), rcu)?));
        };
        match self.raw.find_by_hint(id().addr(), hints, rcu) {
            Some(elem) => Some(self.value(elem)),
            None => self.get_behind_hint(rcu, id()),
        }
    }

    #[cold]
    #[inline(never)]
    fn get_behind_hint<'a>(&'a self, rcu: &'a Guard, id: OwnerId) -> Option<&'a [u8]> {
        Some(self.value(self.raw.find_in_leaf(id, rcu)?))
    }

    /// Deletes the value of the owner with this identity and returns it. Takes no lock that it
    /// needs.
    #[inline]
    pub(crate) fn delete_by_id<'a>(
        &'a self,
        id: OwnerId,
        rcu: &'a Guard,
    ) -> Result<&'a [u8], Refusal> {
        let deleted = self.raw.delete(id, rcu).ok_or(Refusal::Missing)?;
        Ok(self.value(deleted))
    }

    /// The value of an element of this map.
    #[inline]
    pub(crate) fn value<'a>(&self, elem: &'a Element) -> &'a [u8] {
        // SAFETY: An element of this map holds `value_size()` bytes. They were initialised when the
        // element was created, and have not been written since.
        unsafe { slice::from_raw_parts(elem.value().as_ptr(), self.raw.value_size()) }
    }

    /// Gets, creates or updates the value of the owner as `mode` demands. If `bytes` are too few,
    /// zeroes follow them.
    pub(crate) fn put<'a>(
        &'a self,
        owner: &impl Owner,
        mode: Mode,
        bytes: &[u8],
        rcu: &'a Guard,
    ) -> Result<Stored<&'a [u8]>, Refusal> {
        let size = self.raw.value_size();
        // SAFETY: `RawMap::put` calls this with memory for a value, of `size` bytes.
        let init = |value: NonNull<u8>| unsafe { write_value(value, size, bytes) };
        // SAFETY: `init` writes all `size` bytes.
        let outcome = unsafe { self.raw.put(owner, mode, init, rcu) }?;
        Ok(Stored {
            value: self.value(outcome.elem),
            seq: outcome.elem.seq(),
            created: outcome.created,
        })
    }
}
