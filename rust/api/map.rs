// SPDX-License-Identifier: GPL-2.0

//! Maps as other modules have them.

use super::{
    modules,
    owner::Owner, //
};
use crate::{
    owner::{
        owner_ref::{
            put,
            Init,
            Put, //
        },
        socket, //
    },
    storage::{
        self,
        create::Mode,
        element::Element,
        error::Refusal,
        map::Stored,
        owner::Label,
        raw_map::RawMap,
        walk::Cursor, //
    },
    sync::{
        deferred,
        rcu, //
    }, //
};
use core::{
    mem::ManuallyDrop,
    ops::ControlFlow,
    ptr::NonNull, //
};
use kernel::{
    prelude::*,
    sync::{
        rcu::Guard,
        Arc, //
    }, //
};

/// A map of values of type `T`, at most one for each owner.
///
/// A value that was stored is dropped once: a grace period after its element was deleted, replaced
/// or died with its owner or the map, in a kworker, where its drop may sleep. The same happens to a
/// value that was not stored after all. Dropping the map waits for all that, and may sleep.
///
/// A value must not hold a reference that keeps its own owner alive: both then stay until the map
/// is dropped. `Documentation/owners.rst` says what to do instead.
///
/// A map whose module goes is ended then, if it was not dropped: no drop of a value runs without
/// its text.
///
/// # Examples
///
/// ```
/// use kernel::{prelude::*, sync::rcu, task::Task};
/// use owner_storage::api::{Map, Mode, Refusal};
///
/// struct Limits {
///     files: Map<u32>,
/// }
///
/// impl Limits {
///     fn new(module: &'static ThisModule) -> Result<Self> {
///         Ok(Self { files: Map::new(module)? })
///     }
///
///     fn set(&self, task: &Task, limit: u32) -> Result<(), Refusal> {
///         let rcu = rcu::read_lock();
///         self.files.update(task, Mode::Any, limit, &rcu)?;
///         Ok(())
///     }
///
///     fn of(&self, task: &Task) -> u32 {
///         let rcu = rcu::read_lock();
///         self.files.get(task, &rcu).copied().unwrap_or(u32::MAX)
///     }
/// }
/// ```
///
/// # Invariants
///
/// The map is on the list of `modules`, which holds it, until this is dropped.
pub struct Map<T: Send + Sync + 'static>(ManuallyDrop<storage::map::Map<T>>);

impl<T: Send + Sync + 'static> Drop for Map<T> {
    fn drop(&mut self) {
        modules::end(self.0.raw());
    }
}

impl<T: Send + Sync + 'static> Map<T> {
    /// An empty map of `module`, which is the one that calls this. May sleep. Fails with `E2BIG` if
    /// a `T` is too large to be allocated in any context.
    pub fn new(module: &'static ThisModule) -> Result<Self> {
        Self::list(storage::map::Map::new()?, module)
    }

    /// An empty map that clones: a socket that a listener accepts, of IPv4 or IPv6, gets a clone of
    /// the listener's value. `T::clone()` is called in any context. Fails as [`Map::new`] does, and
    /// with `EOPNOTSUPP` if this kernel has not the hooks that it needs.
    pub fn new_cloning(module: &'static ThisModule) -> Result<Self>
    where
        T: Clone,
    {
        socket::check_clones()?;
        Self::list(storage::map::Map::new_cloning()?, module)
    }

    /// Compiled in the module that calls it, as all that is generic.
    fn list(map: storage::map::Map<T>, module: &'static ThisModule) -> Result<Self> {
        #[cfg(OSTOR_EXPORTS)]
        super::check_abi();
        let map = ManuallyDrop::new(map);
        // SAFETY: The object is not dropped, and by the type invariant it goes before the map does.
        modules::list(unsafe { map.raw().holder() }, module)?;
        // INVARIANT: It is on the list now.
        Ok(Self(map))
    }

    /// The owner's value. Takes no lock.
    #[inline]
    pub fn get<'a>(&'a self, owner: &impl Owner, rcu: &'a Guard) -> Option<&'a T> {
        self.0
            .get_through(|| owner.owner_id(), owner.owner_hints(), rcu)
    }

    /// The owner's value, created by `new` if there is none. CPUs that create it at once all get
    /// the same.
    pub fn get_or_create<'a>(
        &'a self,
        owner: &impl Owner,
        new: impl FnOnce() -> T,
        rcu: &'a Guard,
    ) -> Result<Stored<&'a T>, Refusal> {
        self.put(owner, Mode::Get, new, rcu)
    }

    /// Stores `value` by `mode`.
    pub fn update<'a>(
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
        self.put_by(new, |init| {
            // SAFETY: `put_by` keeps the contract.
            unsafe { put(self.raw(), &owner.owner_ref(), mode, init, rcu) }
        })
    }

    /// Calls `put` with an [`Init::Call`] that initialises a value of the map when it is first
    /// called. `put` calls it once at most.
    pub(super) fn put_by<'a>(
        &'a self,
        new: impl FnOnce() -> T,
        put: impl FnOnce(&mut Init<'_>) -> Result<Put<'a>, Refusal>,
    ) -> Result<Stored<&'a T>, Refusal> {
        let mut new = Some(new);
        let mut init = |value: NonNull<u8>| {
            if let Some(new) = new.take() {
                // SAFETY: The caller has room for a `T` there.
                unsafe { value.cast::<T>().write(new()) };
            }
        };
        let put = put(&mut Init::Call(&mut init))?;
        Ok(put.with(self.0.value(put.elem)))
    }

    /// The map without its type.
    pub(super) fn raw(&self) -> &RawMap {
        self.0.raw()
    }

    /// Deletes the owner's value and returns it. Never fails because a lock is unavailable:
    /// unlinking is then left to the reaper.
    pub fn delete<'a>(&'a self, owner: &impl Owner, rcu: &'a Guard) -> Result<&'a T, Refusal> {
        self.0.delete_by_id(owner.owner_id(), rcu)
    }

    /// Calls `f` with the value of each owner, in RCU read sections. May sleep between them. An
    /// owner that has a value all the time is visited once; one that gets or loses it meanwhile, at
    /// most once.
    pub fn for_each(&self, mut f: impl FnMut(Label, &T)) {
        let _: ControlFlow<()> = for_each(self.0.raw(), |elem, label| {
            f(label, self.0.value(elem));
            ControlFlow::Continue(())
        });
    }
}

impl<T: Send + Sync + 'static> Map<Arc<T>> {
    /// The owner's value with a reference of the caller's own, which may sleep while it has it.
    pub fn hold(&self, owner: &impl Owner) -> Option<Arc<T>> {
        self.get(owner, &rcu::read_lock()).cloned()
    }
}

/// Calls `f` with the element of each owner, until it breaks, as [`Map::for_each`].
pub(super) fn for_each<B>(
    map: &RawMap,
    mut f: impl FnMut(&Element, Label) -> ControlFlow<B>,
) -> ControlFlow<B> {
    let mut cursor = Cursor::default();
    loop {
        let rcu = rcu::read_lock();
        let Some((elem, label)) = map.next(&mut cursor, &rcu) else {
            return ControlFlow::Continue(());
        };
        f(elem, label)?;
        drop(rcu);
        deferred::cond_resched();
    }
}

/// A map of values of a number of bytes that is chosen when it is created.
///
/// Stored bytes do not change: an update makes a new element.
///
/// # Examples
///
/// ```
/// use kernel::{prelude::*, sync::rcu};
/// use owner_storage::api::{ByteMap, Mode, NetNs};
///
/// /// Returns the first byte of the namespace's value, which is `bytes` if there was none.
/// fn first_byte(map: &ByteMap, net: &NetNs, bytes: &[u8]) -> Result<u8> {
///     let rcu = rcu::read_lock();
///     let stored = map.put(net, Mode::Get, bytes, &rcu)?;
///     stored.value.first().copied().ok_or(EINVAL)
/// }
/// ```
///
/// # Invariants
///
/// Unless this is only borrowed, by `ByteMap::of`, it is on the list as a [`Map`] is.
#[repr(transparent)]
pub struct ByteMap(ManuallyDrop<storage::map::ByteMap>);

impl Drop for ByteMap {
    fn drop(&mut self) {
        modules::end(self.0.raw());
    }
}

impl ByteMap {
    /// An empty map of `module`, which is the one that calls this, of values of `value_size` bytes.
    /// May sleep. Fails with `EINVAL` for 0 and with `E2BIG` for more than can be allocated in any
    /// context.
    pub fn new(module: &'static ThisModule, value_size: usize) -> Result<Self> {
        let map = ManuallyDrop::new(storage::map::ByteMap::new(value_size)?);
        // SAFETY: As in `Map::list`.
        modules::list(unsafe { map.raw().holder() }, module)?;
        // INVARIANT: It is on the list now.
        Ok(Self(map))
    }

    /// The same map as other modules have it.
    pub(crate) fn of(map: &storage::map::ByteMap) -> &Self {
        // SAFETY: The type is transparent.
        unsafe { &*core::ptr::from_ref(map).cast() }
    }

    /// The same map as this module has it.
    #[cfg(OSTOR_TEST)]
    pub(crate) fn inner(&self) -> &storage::map::ByteMap {
        &self.0
    }

    /// Bytes of a value.
    pub fn value_size(&self) -> usize {
        self.0.raw().value_size()
    }

    /// Whether operations on the two owners' elements can contend for the lock of one bucket.
    pub fn share_bucket(&self, one: &impl Owner, other: &impl Owner) -> bool {
        self.0.raw().share_bucket(one.owner_id(), other.owner_id())
    }

    /// The owner's value. Takes no lock.
    #[inline]
    pub fn get<'a>(&'a self, owner: &impl Owner, rcu: &'a Guard) -> Option<&'a [u8]> {
        self.0
            .get_through(|| owner.owner_id(), owner.owner_hints(), rcu)
    }

    /// Gets, creates or updates the owner's value by `mode`. Of `bytes`, those that are missing are
    /// 0, and surplus ones are left out.
    #[inline]
    pub fn put<'a>(
        &'a self,
        owner: &impl Owner,
        mode: Mode,
        bytes: &[u8],
        rcu: &'a Guard,
    ) -> Result<Stored<&'a [u8]>, Refusal> {
        owner.put_bytes(&self.0, mode, bytes, rcu)
    }

    /// Deletes the owner's value and returns it. Never fails because a lock is unavailable:
    /// unlinking is then left to the reaper.
    #[inline]
    pub fn delete<'a>(&'a self, owner: &impl Owner, rcu: &'a Guard) -> Result<&'a [u8], Refusal> {
        self.0.delete_by_id(owner.owner_id(), rcu)
    }
}
