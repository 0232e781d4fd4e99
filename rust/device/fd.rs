// SPDX-License-Identifier: GPL-2.0

//! Descriptors that commands name, and the right to call one.

use super::Handle;
use crate::{
    api::{
        AnyOwner,
        ByteMap, //
    },
    sync::{
        Atomic,
        Relaxed, //
    },
    uapi::ostor_owner, //
};
use core::ptr;
use kernel::{
    bindings,
    fs::{
        File,
        LocalFile, //
    },
    prelude::*,
    sync::aref::ARef,
    types::ForeignOwnable, //
};

/// Whether the caller may administer the machine: `CAP_SYS_ADMIN` in the initial user namespace.
/// Task context.
pub fn is_admin() -> bool {
    // SAFETY: An FFI call with no requirement in task context.
    unsafe { bindings::capable(bindings::CAP_SYS_ADMIN as i32) }
}

/// The operations of the device's files; null before the first was opened.
static OPERATIONS: Atomic<*mut bindings::file_operations> = Atomic::new(ptr::null_mut());

/// Notes what the device's files have in common. `file` is being opened.
pub(super) fn note_open(file: &File) {
    // SAFETY: An open file's `f_op` does not change.
    let operations = unsafe { (*file.as_ptr()).f_op };
    OPERATIONS.store(operations.cast_mut(), Relaxed);
}

/// A map that user space has created, by its descriptor, and a reference to the open file.
///
/// # Invariants
///
/// The file is one of `/dev/owner_storage`, and a map.
///
/// # Examples
///
/// ```
/// use kernel::{prelude::*, sync::rcu, task::Task};
/// use owner_storage::device::MapFile;
///
/// /// Returns the size of what the map has for the calling thread.
/// ///
/// /// # Safety
/// ///
/// /// To be called in an `ioctl()`.
/// unsafe fn size_of_own(fd: i32) -> Result<usize> {
///     // SAFETY: By the safety requirements.
///     let file = unsafe { MapFile::of_fd(fd) }?;
///     let task: &Task = current!();
///     let rcu = rcu::read_lock();
///     Ok(file.map()?.get(task, &rcu).map_or(0, <[u8]>::len))
/// }
/// ```
pub struct MapFile(ARef<File>);

impl MapFile {
    /// The map of descriptor `fd` of the calling process. Fails with `EBADF` if it is not of
    /// `/dev/owner_storage`, and with `EINVAL` if it is no map yet. May sleep.
    ///
    /// # Safety
    ///
    /// The calling thread must be in an `ioctl()`, which holds no file's position.
    pub unsafe fn of_fd(fd: i32) -> Result<Self> {
        let fd = u32::try_from(fd).map_err(|_| EBADF)?;
        let file = LocalFile::fget(fd).map_err(|_| EBADF)?;
        // SAFETY: An open file's `f_op` does not change.
        let operations = unsafe { (*file.as_ptr()).f_op };
        if operations.cast_mut() != OPERATIONS.load(Relaxed) {
            return Err(EBADF);
        }
        // SAFETY: By the contract.
        let file = Self(unsafe { LocalFile::assume_no_fdget_pos(file) });
        // INVARIANT: The operations are those of the device, and this fails if it is no map. A map
        // stays one until its file is closed.
        file.handle().map()?;
        Ok(file)
    }

    fn handle(&self) -> &Handle {
        // SAFETY: Set before the file could be reached, and not changed while it is open.
        let private = unsafe { (*self.0.as_ptr()).private_data };
        // SAFETY: The files with these operations are `Handle`s, whose driver turned them foreign;
        // they are not taken back before the file is closed.
        Pin::get_ref(unsafe { <Pin<KBox<Handle>> as ForeignOwnable>::borrow(private) })
    }

    /// The map.
    pub fn map(&self) -> Result<&ByteMap> {
        Ok(ByteMap::of(self.handle().map()?))
    }
}

/// The owner that `owner` names. Task context, may sleep. Fails with `EINVAL`, or as `struct
/// ostor_owner` says.
pub fn owner(owner: &ostor_owner) -> Result<AnyOwner> {
    super::resolve(owner)
}
