// SPDX-License-Identifier: GPL-2.0

//! Maps as their users see them: of values of a type, and of bytes.

use super::{
    create::Mode,
    element::Element,
    error::Refusal,
    owner::Owner,
    raw_map::{
        CloneValue,
        RawMap,
        Values, //
    }, //
};
use crate::sync::{
    nolock,
    rcu::Guard, //
};
use core::{
    marker::PhantomData,
    ops::Deref,
    ptr::NonNull,
    slice, //
};
use kernel::prelude::*;

/// A value, and whether the operation created its element.
pub(crate) struct Stored<V> {
    /// The value.
    pub(crate) value: V,
    /// The element's number in its map.
    pub(crate) seq: u64,
    /// Whether it was created just now.
    pub(crate) created: bool,
}

/// A map that is ended when it is dropped, as [`RawMap::end`] does; the drop may sleep.
///
/// # Invariants
///
/// The pointer is a map that this object owns.
struct OwnedMap(NonNull<RawMap>);

// SAFETY: A map may be used and ended on any thread.
unsafe impl Send for OwnedMap {}
// SAFETY: As above.
unsafe impl Sync for OwnedMap {}

impl Deref for OwnedMap {
    type Target = RawMap;

    #[inline(always)]
    fn deref(&self) -> &RawMap {
        // SAFETY: Owned by the type invariant.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for OwnedMap {
    fn drop(&mut self) {
        // SAFETY: Owned by the type invariant, and not used again.
        unsafe { RawMap::end(self.0) };
    }
}

/// A map of values of type `T`, at most one for each owner.
///
/// A value that was stored is dropped once: a grace period after its element was deleted, replaced
/// or died with its owner or the map, in a kworker, where its drop may sleep. The same happens to a
/// value that was not stored after all. Dropping the map waits for all that, and may sleep.
///
/// A value must not keep its own owner by a reference: the two then stay until the map is dropped.
/// `Documentation/owners.rst` says what to do instead.
///
/// All operations work in any context. References to values live as long as the RCU guard under
/// which they were found.
#[cfg_attr(
    not(OSTOR_TEST),
    allow(dead_code, reason = "the API for Rust code; the device has bytes")
)]
pub(crate) struct Map<T: Send + Sync + 'static> {
    raw: OwnedMap,
    _values: PhantomData<T>,
}

#[cfg_attr(
    not(OSTOR_TEST),
    allow(dead_code, reason = "the API for Rust code; the device has bytes")
)]
impl<T: Send + Sync + 'static> Map<T> {
    /// An empty map. May sleep. Fails with `E2BIG` if a `T` is too large to be allocated in any
    /// context.
    pub(crate) fn new() -> Result<Self> {
        Self::with_values(Self::VALUES)
    }

    /// An empty map that gives an owner which is born of another one, as an accepted socket is, a
    /// clone of that one's value. `T::clone()` is called in any context.
    pub(crate) fn new_cloning() -> Result<Self>
    where
        T: Clone,
    {
        let clone: CloneValue = |from, to, _| {
            // SAFETY: The contract is that there is a `T`.
            let value = unsafe { from.cast::<T>().as_ref() };
            // SAFETY: The contract is that there is room for one.
            unsafe { to.cast::<T>().write(value.clone()) };
        };
        Self::with_values(Values {
            clone: Some(clone),
            ..Self::VALUES
        })
    }

    const VALUES: Values = Values {
        drop: if core::mem::needs_drop::<T>() {
            // SAFETY: The contract is that of `drop_in_place`.
            Some(|value| unsafe { value.cast::<T>().drop_in_place() })
        } else {
            None
        },
        clone: None,
    };

    fn with_values(values: Values) -> Result<Self> {
        const { assert!(align_of::<T>() <= nolock::MAX_ALIGN) };
        // SAFETY: A `T` may be dropped and cloned on any thread.
        let raw = unsafe { RawMap::new(size_of::<T>(), values) }?;
        Ok(Self {
            // INVARIANT: It was just made for this object.
            raw: OwnedMap(raw),
            _values: PhantomData,
        })
    }

    /// The map without its type.
    pub(crate) fn raw(&self) -> &RawMap {
        &self.raw
    }

    fn value<'a>(&self, elem: &'a Element) -> &'a T {
        // SAFETY: The elements of this map hold a `T` each, which is shared until the element is
        // freed.
        unsafe { elem.value().cast().as_ref() }
    }

    /// The owner's value. Takes no lock.
    #[inline]
    pub(crate) fn get<'a>(&'a self, owner: &impl Owner, rcu: &'a Guard) -> Option<&'a T> {
        Some(self.value(self.raw.find_in_leaf(owner.id(), rcu)?))
    }

    /// The owner's value, created by `new` if there is none.
    ///
    /// When several create it at once, all get the same.
    pub(crate) fn get_or_create<'a>(
        &'a self,
        owner: &impl Owner,
        new: impl FnOnce() -> T,
        rcu: &'a Guard,
    ) -> Result<Stored<&'a T>, Refusal> {
        self.put(owner, Mode::Get, new, rcu)
    }

    /// Stores `value` as `mode` says.
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
        // SAFETY: A value of this map is a `T`, and there is room for one.
        let init = |value: NonNull<u8>| unsafe { value.cast::<T>().write(new()) };
        // SAFETY: `init` writes a `T`.
        let outcome = unsafe { self.raw.put(owner, mode, init, rcu) }?;
        Ok(Stored {
            value: self.value(outcome.elem),
            seq: outcome.elem.seq(),
            created: outcome.created,
        })
    }

    /// Deletes the owner's value and returns it. Takes no lock that it needs.
    pub(crate) fn delete<'a>(
        &'a self,
        owner: &impl Owner,
        rcu: &'a Guard,
    ) -> Result<&'a T, Refusal> {
        Ok(self.value(self.raw.delete(owner.id(), rcu)?))
    }
}

/// A map of values of a number of bytes that is chosen when it is created.
///
/// Stored bytes do not change: an update makes a new element.
pub(crate) struct ByteMap {
    raw: OwnedMap,
}

impl ByteMap {
    /// An empty map. May sleep. Fails with `EINVAL` for no bytes and with `E2BIG` for more than
    /// can be allocated in any context.
    pub(crate) fn new(value_size: usize) -> Result<Self> {
        Self::with_values(value_size, Values::default())
    }

    /// An empty map that gives an owner which is born of another one, as an accepted socket is, a
    /// copy of that one's value. As [`ByteMap::new`].
    pub(crate) fn new_cloning(value_size: usize) -> Result<Self> {
        let copy: CloneValue = |from, to, size| {
            // SAFETY: The contract is that the addresses have a value and room for one.
            unsafe { to.copy_from_nonoverlapping(from, size) };
        };
        let values = Values {
            drop: None,
            clone: Some(copy),
        };
        Self::with_values(value_size, values)
    }

    fn with_values(value_size: usize, values: Values) -> Result<Self> {
        if value_size == 0 {
            return Err(EINVAL);
        }
        // SAFETY: Bytes need no drop, and can be copied anywhere.
        let raw = unsafe { RawMap::new(value_size, values) }?;
        // INVARIANT: It was just made for this object.
        Ok(Self { raw: OwnedMap(raw) })
    }

    /// The map without its bytes.
    pub(crate) fn raw(&self) -> &RawMap {
        &self.raw
    }

    /// The owner's value. Takes no lock.
    #[inline]
    pub(crate) fn get<'a>(&'a self, owner: &impl Owner, rcu: &'a Guard) -> Option<&'a [u8]> {
        Some(self.value(self.raw.find_in_leaf(owner.id(), rcu)?))
    }

    /// An element's value.
    #[inline]
    pub(crate) fn value<'a>(&self, elem: &'a Element) -> &'a [u8] {
        // SAFETY: The elements of this map hold so many bytes, initialised when they were created
        // and not written since.
        unsafe { slice::from_raw_parts(elem.value().as_ptr(), self.raw.value_size()) }
    }

    /// Gets, creates or updates the owner's value as `mode` says; `bytes` that are missing are 0.
    pub(crate) fn put<'a>(
        &'a self,
        owner: &impl Owner,
        mode: Mode,
        bytes: &[u8],
        rcu: &'a Guard,
    ) -> Result<Stored<&'a [u8]>, Refusal> {
        let size = self.raw.value_size();
        let init = |value: NonNull<u8>| {
            let given = bytes.len().min(size);
            // SAFETY: There is room for `size` bytes.
            unsafe { value.copy_from_nonoverlapping(NonNull::from(bytes).cast(), given) };
            // SAFETY: As above.
            unsafe { value.add(given).write_bytes(0, size - given) };
        };
        // SAFETY: `init` writes all bytes.
        let outcome = unsafe { self.raw.put(owner, mode, init, rcu) }?;
        Ok(Stored {
            value: self.value(outcome.elem),
            seq: outcome.elem.seq(),
            created: outcome.created,
        })
    }
}
