// SPDX-License-Identifier: GPL-2.0

//! What other modules use of this one. They name it as the crate `owner_storage`.
//!
//! A module attaches values to owners through a map of its own, [`Map`] or [`ByteMap`], or through
//! one that user space has created, [`MapFile`](crate::device::MapFile). All operations work in any
//! context unless their comment says otherwise. A reference to a value lives as long as the RCU
//! guard under which it was found.
//!
//! The symbols behind this are exported in the namespace `OWNER_STORAGE`. Their names contain a
//! hash of the sources, the compiler and the kernel crate: the loader refuses a module that was
//! built against anything else. [`check_abi`] makes it say so by a name that people can read.

#[cfg(OSTOR_TEST)]
pub mod ages;
mod c;
#[cfg(OSTOR_TEST)]
pub mod faults;
mod map;
mod modules;
pub(crate) mod numbered;
mod owner;
mod reserve;

pub(crate) use self::modules::EndWithModule;

pub use self::{
    map::{
        ByteMap,
        Map, //
    },
    owner::{
        Owner,
        Visitor, //
    },
    reserve::Reserve, //
};
pub use crate::{
    owner::{
        cgroup::Cgroup,
        kinds::AnyOwner,
        netns::NetNs,
        slot::OwnerSlot,
        socket::Socket, //
    },
    sync::trace::Event, //
};

/// # Examples
///
/// ```
/// use kernel::sync::rcu;
/// use owner_storage::api::{Cgroup, Map, Mode, Refusal};
///
/// /// Takes the cgroup, unless it was taken already. Returns whether it did.
/// fn try_take(map: &Map<u64>, cgroup: &Cgroup, by: u64) -> Result<bool, Refusal> {
///     let rcu = rcu::read_lock();
///     match map.update(cgroup, Mode::NoExist, by, &rcu) {
///         Ok(_) => Ok(true),
///         Err(Refusal::Exists) => Ok(false),
///         Err(refusal) => Err(refusal),
///     }
/// }
/// ```
pub use crate::storage::create::Mode;

/// # Examples
///
/// ```
/// use kernel::{prelude::*, sync::rcu};
/// use owner_storage::api::{Map, Owner, Refusal};
///
/// /// Counts an event of the owner. It may be called anywhere, so it may find no lock and no
/// /// memory.
/// fn count(map: &Map<u64>, owner: &impl Owner, lost: &mut u64) -> Result {
///     let rcu = rcu::read_lock();
///     match map.get_or_create(owner, || 1, &rcu) {
///         Ok(_) => Ok(()),
///         Err(Refusal::Lock(_) | Refusal::NoMemory) => {
///             *lost += 1;
///             Ok(())
///         }
///         Err(refusal) => Err(refusal.into()),
///     }
/// }
/// ```
pub use crate::storage::error::Refusal;

/// # Examples
///
/// ```
/// use kernel::sync::rcu;
/// use owner_storage::api::{Map, Owner, Refusal};
///
/// /// Returns a number that is the owner's own as long as it has its value, and whether it is new.
/// fn number(map: &Map<()>, owner: &impl Owner) -> Result<(u64, bool), Refusal> {
///     let rcu = rcu::read_lock();
///     let stored = map.get_or_create(owner, || (), &rcu)?;
///     Ok((stored.seq, stored.created))
/// }
/// ```
pub use crate::storage::map::Stored;

/// # Examples
///
/// ```
/// use owner_storage::api::{Label, Map};
///
/// /// Returns the largest value, and the number that user space knows its owner by.
/// fn largest(map: &Map<u32>) -> Option<(u32, u64)> {
///     let mut largest = None;
///     map.for_each(|Label { id, .. }, &value| largest = largest.max(Some((value, id))));
///     largest
/// }
/// ```
pub use crate::storage::owner::Label;

/// # Examples
///
/// ```
/// use owner_storage::api::{LockError, Refusal};
///
/// /// Whether the operation was called inside another one that holds the owner's lock.
/// fn is_recursion(refusal: Refusal) -> bool {
///     refusal == Refusal::Lock(LockError::Deadlock)
/// }
/// ```
pub use crate::sync::res_lock::LockError;

use crate::{
    storage::runtime::Runtime,
    uapi::{
        OSTOR_ANY,
        OSTOR_EXIST,
        OSTOR_NOEXIST, //
    }, //
};
use kernel::prelude::*;

/// The mode that the flags of an update name.
pub(crate) fn update_mode(flags: u32) -> Result<Mode> {
    match flags {
        OSTOR_ANY => Ok(Mode::Any),
        OSTOR_NOEXIST => Ok(Mode::NoExist),
        OSTOR_EXIST => Ok(Mode::Exist),
        _ => Err(EINVAL),
    }
}

/// Waits until everything that is dead now is freed, if no lock fails. May sleep; not in the drop
/// of a value.
pub fn flush() {
    if let Some(runtime) = Runtime::get() {
        runtime.flush();
    }
}

/// Nanoseconds spent dropping values and freeing elements and storages so far, by all kworkers.
pub fn reap_ns() -> u64 {
    Runtime::get().map_or(0, |runtime| runtime.stats.reap_ns.get())
}

/// The name by which the loader refuses a module that was built against another build of this one.
#[cfg(OSTOR_EXPORTS)]
#[export_name = concat!("owner_storage_abi_", env!("OSTOR_ABI"))]
pub static ABI: u8 = 0;

/// Refers to `owner_storage_abi_HASH`. A module that calls this cannot be loaded beside another
/// build of this one, and that name stands in the loader's message.
#[cfg(OSTOR_EXPORTS)]
#[inline(always)]
pub fn check_abi() {
    // SAFETY: A reference to a static can be read. The compiler must not leave the read out.
    unsafe { (&raw const ABI).read_volatile() };
}
