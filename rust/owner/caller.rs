// SPDX-License-Identifier: GPL-2.0

//! Who calls, and what its descriptors stand for.

use crate::shim;
use core::ptr::NonNull;
use kernel::{
    bindings,
    error::from_err_ptr,
    fs::{
        File,
        LocalFile, //
    },
    prelude::*,
    sync::aref::ARef,
    task::Task,
    types::ForeignOwnable, //
};

/// Whether the caller may administer the machine: `CAP_SYS_ADMIN` in the initial user namespace.
pub(crate) fn is_admin() -> bool {
    // SAFETY: An FFI call with no requirement in task context.
    unsafe { bindings::capable(bindings::CAP_SYS_ADMIN as i32) }
}

/// The calling thread.
pub(crate) fn current() -> ARef<Task> {
    // SAFETY: The calling thread is a valid task as long as it runs this.
    let task = unsafe { &*Task::current_raw().cast::<Task>() };
    ARef::from(task)
}

/// The task of a pidfd: the thread itself for one opened with `PIDFD_THREAD`, else the leader.
///
/// Fails with `EBADF` for any other descriptor, and with `ESRCH` if the task has been reaped.
pub(crate) fn task_of_pidfd(fd: i32) -> Result<ARef<Task>> {
    let file = fget(fd)?;
    // SAFETY: The file is valid while `file` lives.
    let task = from_err_ptr(unsafe { shim::ostor_task_of_pidfd(file.as_ptr()) })?;
    let task = NonNull::new(task.cast::<Task>()).ok_or(ESRCH)?;
    // SAFETY: The function returned a reference that is now the result's.
    Ok(unsafe { ARef::from_raw(task) })
}

fn fget(fd: i32) -> Result<ARef<LocalFile>> {
    let fd = u32::try_from(fd).map_err(|_| EBADF)?;
    LocalFile::fget(fd).map_err(|_| EBADF)
}

/// An open file of the same driver as another one.
pub(crate) struct Peer<P> {
    file: ARef<File>,
    _private: core::marker::PhantomData<P>,
}

impl<P: ForeignOwnable> Peer<P> {
    /// The file of descriptor `fd`, or `EBADF` if it is not of the driver of `own`.
    ///
    /// # Safety
    ///
    /// The calling thread must be in an `ioctl()`. The driver of `own` must keep a `P`, made by
    /// [`ForeignOwnable::into_foreign`], as private data of each of its open files.
    pub(crate) unsafe fn open(own: &File, fd: i32) -> Result<Self> {
        let file = fget(fd)?;
        // SAFETY: Both files are open, and `f_op` of an open file does not change.
        let same = unsafe { (*file.as_ptr()).f_op == (*own.as_ptr()).f_op };
        if !same {
            return Err(EBADF);
        }
        // SAFETY: The caller is in an `ioctl()`, which holds no file's position.
        let file = unsafe { LocalFile::assume_no_fdget_pos(file) };
        Ok(Self {
            file,
            _private: core::marker::PhantomData,
        })
    }

    /// The driver's data of the file.
    pub(crate) fn borrow(&self) -> P::Borrowed<'_> {
        // SAFETY: Set before the file could be reached, and not changed while it is open.
        let private = unsafe { (*self.file.as_ptr()).private_data };
        // SAFETY: A `P` that was turned foreign, by the contract of `open`; it is not taken back
        // before the file is closed.
        unsafe { P::borrow(private) }
    }
}
