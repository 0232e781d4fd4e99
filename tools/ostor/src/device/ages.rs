// SPDX-License-Identifier: GPL-2.0
//! How old what a reader holds gets.

use std::os::fd::AsFd;
use std::time::Duration;

use uapi::ostor_ages;

use super::{Error, Map, Owner, Result};
use crate::sys::ioctl;

/// What was held in one read section, by the grace periods since it was unlinked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ages {
    /// How many objects were of each age; the last also has those above.
    pub counts: [u64; uapi::OSTOR_AGES as usize],
    /// How many were freed, and their memory used again.
    pub reused: u64,
}

impl Ages {
    /// Holds elements of the map, and storages, for some time, 100 ms at most. Begins
    /// where those of the owner are. For the test flavour of the module only.
    pub fn of(map: &Map, owner: Owner<'_>, time: Duration) -> Result<Self> {
        let mut arg = ostor_ages {
            owner: owner.to_uapi(),
            hold_us: time.as_micros() as u32,
            ..ostor_ages::default()
        };
        ioctl::ages(map.as_fd(), &mut arg).map_err(Error::refused("look at ages"))?;
        Ok(Self {
            counts: arg.ages,
            reused: arg.reused,
        })
    }

    /// How many were freed while they were held: the grace period that must pass
    /// before that waits for the reader that holds them.
    pub fn freed(&self) -> u64 {
        self.reused + self.counts[2..].iter().sum::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_one_grace_period_is_freed() {
        let ages = |counts, reused| Ages { counts, reused };
        assert_eq!(ages([9, 4, 0, 0], 0).freed(), 0);
        assert_eq!(ages([9, 4, 2, 1], 0).freed(), 3);
        assert_eq!(ages([9, 0, 0, 0], 5).freed(), 5);
    }
}
