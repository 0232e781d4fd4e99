// SPDX-License-Identifier: GPL-2.0

//! Owners that are not there: they let a test or the device put an element into a given bucket.

use crate::{
    storage::{
        error::Refusal,
        owner::{
            Owner,
            OwnerId,
            OwnerOps, //
        }, //
    },
    sync::rcu::Guard, //
};
use core::ptr;

/// An owner at an address where no object can be: in the first pages.
pub(crate) struct Phantom(usize);

impl Phantom {
    /// How many there are.
    pub(crate) const COUNT: usize = 1 << 16;

    /// Phantom number `n`.
    pub(crate) fn new(n: usize) -> Self {
        Self((n % Self::COUNT + 1) << 2)
    }
}

static OPS: OwnerOps = OwnerOps {
    kind: 0,
    number_of: |id, _| id.addr() as u64,
    uncharge: None,
};

// SAFETY: A phantom does not die, and its memory is not used at all.
unsafe impl Owner for Phantom {
    type Gate<'a> = ();

    fn ops(&self) -> &'static OwnerOps {
        &OPS
    }

    fn id(&self) -> OwnerId {
        OwnerId::new(ptr::without_provenance::<u32>(self.0), &OPS, 0)
    }

    fn gate<'a>(&'a self, _rcu: &'a Guard) -> Result<(), Refusal> {
        Ok(())
    }
}
