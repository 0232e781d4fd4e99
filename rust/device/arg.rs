// SPDX-License-Identifier: GPL-2.0

//! A command's argument in user space.

use kernel::{
    ioctl::_IOC_SIZE,
    prelude::*,
    transmute::{
        AsBytes,
        FromBytes, //
    },
    uaccess::{
        UserPtr,
        UserSlice, //
    }, //
};

/// The argument.
pub(crate) struct Arg {
    pub(crate) ptr: UserPtr,
    size: usize,
}

impl Arg {
    /// The argument of command `cmd`, whose number has its size in it.
    pub(crate) fn new(cmd: u32, addr: usize) -> Self {
        Self {
            ptr: UserPtr::from_addr(addr),
            size: _IOC_SIZE(cmd),
        }
    }

    /// Reads the argument of a command that passes one in.
    pub(crate) fn read<T: FromBytes>(&self) -> Result<T> {
        UserSlice::new(self.ptr, self.size).reader().read()
    }

    /// Reads the argument of a command that passes one in and out. It is written back as it is: a
    /// command whose outputs cannot be written fails before it takes effect.
    pub(crate) fn read_for_update<T: FromBytes + AsBytes>(&self) -> Result<T> {
        let value = self.read()?;
        self.write(&value)?;
        Ok(value)
    }

    /// Writes a result.
    pub(crate) fn write<T: AsBytes>(&self, value: &T) -> Result {
        UserSlice::new(self.ptr, self.size).writer().write(value)
    }

    /// Writes as much of a result as the caller knows of.
    pub(crate) fn write_part<T: AsBytes>(&self, value: &T) -> Result {
        let bytes = value.as_bytes().get(..self.size).ok_or(EINVAL)?;
        UserSlice::new(self.ptr, self.size)
            .writer()
            .write_slice(bytes)
    }
}
