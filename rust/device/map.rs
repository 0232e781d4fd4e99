// SPDX-License-Identifier: GPL-2.0

//! A map as the device has it: one of bytes, with a name and a creator.

use super::bpf::SharedMap;
use crate::{
    storage::map::ByteMap,
    uapi::{
        OSTOR_MAP_CLONE,
        OSTOR_NAME_SIZE, //
    }, //
};
use core::ops::Deref;
use kernel::{
    bindings,
    prelude::*,
    task::Task, //
};

/// The flags that a map can be created with.
pub(super) const FLAGS: u32 = OSTOR_MAP_CLONE;

const SIZE: usize = OSTOR_NAME_SIZE as usize;

/// A name, filled up with zeroes, of which the last byte is one.
#[derive(Copy, Clone)]
pub(super) struct Name(pub(super) [u8; SIZE]);

impl Name {
    /// Checks a map's name.
    pub(super) fn of_map(bytes: [u8; SIZE]) -> Result<Self> {
        let len = bytes.iter().position(|&byte| byte == 0).ok_or(EINVAL)?;
        let (name, rest) = bytes.split_at(len);
        let is_valid = name
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_.".contains(byte));
        if !is_valid || rest.iter().any(|&byte| byte != 0) {
            return Err(EINVAL);
        }
        Ok(Self(bytes))
    }

    /// The command of the calling thread.
    fn of_caller() -> Self {
        let mut bytes = [0; SIZE];
        // SAFETY: The calling thread is a valid task, and both arrays have `SIZE` bytes. Another
        // thread may write the name meanwhile, as with `get_task_comm()`: it ends with a 0 all the
        // time, and a mixture of both names is harmless.
        unsafe {
            let comm = &raw const (*Task::current_raw()).comm;
            bindings::sized_strscpy(bytes.as_mut_ptr(), comm.cast(), SIZE);
        };
        Self(bytes)
    }
}

/// A map of the device.
pub(super) struct DeviceMap {
    pub(super) shared: SharedMap,
    pub(super) name: Name,
    /// The command of the thread that created it, and its process.
    pub(super) comm: Name,
    pub(super) pid: u32,
}

impl DeviceMap {
    /// An empty map of the calling thread; `flags` are of [`FLAGS`]. As [`ByteMap::new`].
    pub(super) fn new(value_size: usize, flags: u32, name: Name) -> Result<Self> {
        let new = match flags & OSTOR_MAP_CLONE {
            0 => ByteMap::new,
            _ => ByteMap::new_cloning,
        };
        // SAFETY: The calling thread is a valid task, whose process does not change while it runs
        // this.
        let pid = unsafe { (*Task::current_raw()).tgid };
        Ok(Self {
            shared: SharedMap::new(|| new(value_size))?,
            name,
            comm: Name::of_caller(),
            pid: pid.unsigned_abs(),
        })
    }
}

impl Deref for DeviceMap {
    type Target = ByteMap;

    fn deref(&self) -> &ByteMap {
        self.shared.bytes()
    }
}
