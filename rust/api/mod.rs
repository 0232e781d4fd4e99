// SPDX-License-Identifier: GPL-2.0

//! What other modules use of this one. They name it as the crate `owner_storage`.
//!
//! A module attaches values to owners through a map of its own, [`Map`] or [`ByteMap`], or through
//! one that user space has created, [`MapFile`](crate::device::MapFile). All operations work in any
//! context unless their comment says otherwise. A reference to a value lives as long as the RCU
//! guard under which it was found.
//!
//! The symbols behind this are exported in the namespace `OWNER_STORAGE`. Their names contain a hash
//! of the sources, the compiler and the kernel crate: the loader refuses a module that was built
//! against anything else. [`check_abi`] makes it say so by a name that people can read.

#[cfg(OSTOR_TEST)]
pub mod ages;
mod c;
#[cfg(OSTOR_TEST)]
pub mod faults;
mod map;
mod modules;
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
    storage::{
        create::Mode,
        error::Refusal,
        map::Stored,
        owner::Label, //
    },
    sync::{
        res_lock::LockError,
        trace::Event, //
    }, //
};

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

/// Waits until everything that is dead now is freed, if no lock fails. May sleep; not in the drop of
/// a value.
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

/// Refers to `owner_storage_abi_HASH`. A module that calls this cannot be loaded beside another build
/// of this one, and that name stands in the loader's message.
#[cfg(OSTOR_EXPORTS)]
#[inline(always)]
pub fn check_abi() {
    // SAFETY: A reference to a static can be read. The compiler must not leave the read out.
    unsafe { (&raw const ABI).read_volatile() };
}
