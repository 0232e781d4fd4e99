// SPDX-License-Identifier: GPL-2.0
//! A map, and the operations on its elements.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use uapi::{ostor_elem, ostor_map_create, ostor_map_info};

use super::{Error, Owner, Result, open};
use crate::sys::ioctl::{self, Buffer, ElemCommand};

/// A map. It lives as long as a descriptor refers to it.
#[derive(Debug)]
pub struct Map {
    fd: OwnedFd,
    value_size: u32,
}

/// An element as an operation returned it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elem {
    /// The value.
    pub value: Vec<u8>,
    /// The element's number: elements are counted from 1 as they are created in the
    /// map. An update keeps the number.
    pub seq: u64,
    /// Whether the operation created the element.
    pub created: bool,
}

/// The condition on which an update stores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// None.
    #[default]
    Any,
    /// The owner has no element.
    NoExist,
    /// The owner has an element.
    Exist,
}

impl Mode {
    /// The device's flags.
    pub fn to_uapi(self) -> u32 {
        match self {
            Self::Any => uapi::OSTOR_ANY,
            Self::NoExist => uapi::OSTOR_NOEXIST,
            Self::Exist => uapi::OSTOR_EXIST,
        }
    }
}

impl Map {
    /// Creates a map of values of `value_size` bytes.
    pub fn create(value_size: u32) -> Result<Self> {
        Self::create_with(value_size, 0, "")
    }

    /// Creates a map with a name for listings: up to 15 letters, digits, `_` and `.`.
    pub fn create_named(value_size: u32, name: &str) -> Result<Self> {
        Self::create_with(value_size, 0, name)
    }

    /// Creates a map in which the value of a listening TCP socket is copied to each
    /// socket that it accepts.
    pub fn create_cloning(value_size: u32) -> Result<Self> {
        Self::create_with(value_size, uapi::OSTOR_MAP_CLONE, "")
    }

    /// Creates a map with flags and a name. The device refuses a name without an end, so
    /// all bytes but the last one can be used.
    pub fn create_with(value_size: u32, flags: u32, name: &str) -> Result<Self> {
        let fd = OwnedFd::from(open()?);
        let mut arg = ostor_map_create {
            value_size,
            flags,
            ..ostor_map_create::default()
        };
        for (to, from) in arg.name.iter_mut().zip(name.bytes()) {
            *to = from;
        }
        ioctl::map_create(fd.as_fd(), arg).map_err(Error::refused("create a map"))?;
        Ok(Self { fd, value_size })
    }

    /// Uses a descriptor of a map.
    pub fn from_fd(fd: OwnedFd) -> Result<Self> {
        let info = ioctl::map_info(fd.as_fd()).map_err(Error::refused("use this file as a map"))?;
        Ok(Self {
            fd,
            value_size: info.value_size,
        })
    }

    /// Bytes per value.
    pub fn value_size(&self) -> u32 {
        self.value_size
    }

    /// The owner's element.
    pub fn get(&self, owner: Owner<'_>) -> Result<Elem> {
        let value = Some(self.zeroes());
        self.run(ElemCommand::Lookup, owner, Mode::Any, value, "get a value")
    }

    /// The owner's element, which is created from `value` if the owner has none.
    pub fn get_or_create(&self, owner: Owner<'_>, value: &[u8]) -> Result<Elem> {
        let value = Some(self.padded(value)?);
        self.run(
            ElemCommand::GetOrCreate,
            owner,
            Mode::Any,
            value,
            "get or create a value",
        )
    }

    /// Stores `value`, padded with zero bytes.
    pub fn update(&self, owner: Owner<'_>, value: &[u8], mode: Mode) -> Result<Elem> {
        let value = Some(self.padded(value)?);
        self.run(ElemCommand::Update, owner, mode, value, "store a value")
    }

    /// Deletes the owner's element.
    pub fn delete(&self, owner: Owner<'_>) -> Result<()> {
        self.run(
            ElemCommand::Delete,
            owner,
            Mode::Any,
            None,
            "delete a value",
        )
        .map(drop)
    }

    /// Deletes the owner's element and returns it.
    pub fn take(&self, owner: Owner<'_>) -> Result<Elem> {
        let value = Some(self.zeroes());
        self.run(ElemCommand::Take, owner, Mode::Any, value, "take a value")
    }

    /// The map's sizes and counts.
    pub fn info(&self) -> Result<ostor_map_info> {
        ioctl::map_info(self.as_fd()).map_err(Error::refused("read the map's sizes and counts"))
    }

    fn run(
        &self,
        command: ElemCommand,
        owner: Owner<'_>,
        mode: Mode,
        value: Option<Vec<u8>>,
        what: &'static str,
    ) -> Result<Elem> {
        let mut value = value.unwrap_or_default();
        let mut arg = ostor_elem {
            owner: owner.to_uapi(),
            value_size: value.len() as u32,
            flags: mode.to_uapi(),
            ..ostor_elem::default()
        };
        let buffer = if value.is_empty() {
            Buffer::Null
        } else {
            Buffer::At(&mut value)
        };
        ioctl::elem(self.as_fd(), command, &mut arg, buffer).map_err(Error::refused(what))?;
        Ok(Elem {
            value,
            seq: arg.seq,
            created: arg.created != 0,
        })
    }

    fn zeroes(&self) -> Vec<u8> {
        vec![0; self.value_size as usize]
    }

    fn padded(&self, value: &[u8]) -> Result<Vec<u8>> {
        if value.len() > self.value_size as usize {
            return Err(Error::TooLong {
                len: value.len(),
                value_size: self.value_size,
            });
        }
        let mut padded = value.to_vec();
        padded.resize(self.value_size as usize, 0);
        Ok(padded)
    }
}

impl From<Map> for OwnedFd {
    fn from(map: Map) -> Self {
        map.fd
    }
}

impl AsFd for Map {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
