// SPDX-License-Identifier: GPL-2.0

//! A reader that checks the ages of the objects that it holds.

use crate::{
    arg::Arg,
    uapi::{
        ostor_ages,
        OSTOR_AGES_HELD_MAX,
        OSTOR_AGES_HOLD_MAX_US, //
    }, //
};
use kernel::prelude::*;
use owner_storage::{
    api::ages,
    device::{
        self,
        MapFile, //
    }, //
};

// The UAPI header has the number of objects that a section holds.
const _: () = assert!(ages::HELD_MAX == OSTOR_AGES_HELD_MAX as usize);

/// Holds objects in a read section, and counts them by their age at its end.
pub(crate) fn ages(arg: &Arg) -> Result {
    let mut req = ostor_ages::default();
    arg.read_for_update(&mut req)?;
    if req.hold_us > OSTOR_AGES_HOLD_MAX_US || req.reserved != [0; 2] {
        return Err(EINVAL);
    }
    // SAFETY: Commands are ioctls.
    let file = unsafe { MapFile::of_fd(req.map_fd) }?;
    let owner = device::owner(&req.owner)?;
    let seen = ages::look(file.map()?, &owner, req.hold_us).ok_or(ENODEV)?;
    (req.ages, req.reused) = (seen.ages, seen.reused);
    arg.write(&req)
}
