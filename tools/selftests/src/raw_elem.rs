// SPDX-License-Identifier: GPL-2.0
//! A command on an element with every field accessible, to pass arguments that must be
//! refused.

use std::os::fd::AsFd;

use ostor::device::Owner;
use ostor::sys::ioctl::{self, Buffer, ElemCommand};
use uapi::ostor_elem;

use crate::harness::VALUE_SIZE;

/// The memory that the value's address points to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Null,
    Bytes(Vec<u8>),
    ReadOnly,
    Nowhere,
    Kernel,
}

/// A command on an element.
#[derive(Clone, Debug)]
pub(crate) struct RawElem {
    pub(crate) command: ElemCommand,
    pub(crate) arg: ostor_elem,
    pub(crate) value: Value,
}

impl RawElem {
    /// A valid command.
    pub(crate) fn valid(command: ElemCommand, owner: Owner<'_>) -> Self {
        let has_value = command != ElemCommand::Delete;
        Self {
            command,
            arg: ostor_elem {
                owner: owner.to_uapi(),
                value_size: if has_value { VALUE_SIZE } else { 0 },
                ..ostor_elem::default()
            },
            value: if has_value {
                Value::Bytes(vec![7; VALUE_SIZE as usize])
            } else {
                Value::Null
            },
        }
    }

    /// The command with a change.
    pub(crate) fn but(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut changed = self.clone();
        change(&mut changed);
        changed
    }

    /// The command with another value.
    pub(crate) fn with_value(&self, value: Value) -> Self {
        self.but(|elem| elem.value = value)
    }

    /// Runs the command. The device writes to `arg` and `value`.
    pub(crate) fn run(&mut self, map: &impl AsFd) -> nix::Result<()> {
        let value = match &mut self.value {
            Value::Null => Buffer::Null,
            Value::Bytes(bytes) => Buffer::At(bytes),
            Value::ReadOnly => Buffer::ReadOnly,
            Value::Nowhere => Buffer::Nowhere,
            Value::Kernel => Buffer::Kernel,
        };
        ioctl::elem(map.as_fd(), self.command, &mut self.arg, value)
    }
}
