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
    #[inline(always)]
    pub(crate) fn read<T: FromBytes + AsBytes>(&self, to: &mut T) -> Result {
        self.read_bytes(to.as_bytes_mut())
    }

    /// Reads the argument of a command that passes one in and out. It is written back as it is: a
    /// command whose outputs cannot be written fails before it takes effect.
    #[inline(always)]
    pub(crate) fn read_for_update<T: FromBytes + AsBytes>(&self, to: &mut T) -> Result {
        self.read(to)?;
        self.write(to)
    }

    /// Writes a result, or as much of it as the caller knows of.
    #[inline(always)]
    pub(crate) fn write<T: AsBytes>(&self, value: &T) -> Result {
        self.write_bytes(value.as_bytes())
    }

    // The two that copy are compiled once for all types.

    #[inline(never)]
    fn read_bytes(&self, to: &mut [u8]) -> Result {
        UserSlice::new(self.ptr, self.size).reader().read_slice(to)
    }

    #[inline(never)]
    fn write_bytes(&self, from: &[u8]) -> Result {
        let from = from.get(..self.size).ok_or(EINVAL)?;
        UserSlice::new(self.ptr, self.size)
            .writer()
            .write_slice(from)
    }
}
