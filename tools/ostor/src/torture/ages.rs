// SPDX-License-Identifier: GPL-2.0
//! How many grace periods pass while a reader holds unlinked objects.

use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use uapi::ostor_ages;

use super::{TortureDevice, ioctl};
use crate::device::{Error, Map, Owner, Result};

/// The objects that one read section held, by their age: the grace periods that have
/// ended since the object was unlinked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ages {
    /// Number of objects of each age. The last entry also counts greater ages.
    pub counts: [u64; uapi::OSTOR_AGES as usize],
    /// Number of objects whose memory was freed and allocated again.
    pub reused: u64,
}

impl Ages {
    /// Holds elements of the map, and storages, in one read section of `time`, at most
    /// 100 ms. The walk begins at `owner`. Needs the test flavour.
    pub fn of(device: &TortureDevice, map: &Map, owner: Owner<'_>, time: Duration) -> Result<Self> {
        let mut arg = ostor_ages {
            owner: owner.to_uapi(),
            hold_us: time.as_micros() as u32,
            map_fd: map.as_fd().as_raw_fd(),
            ..ostor_ages::default()
        };
        ioctl::ages(device, &mut arg).map_err(Error::refused("read the ages of held objects"))?;
        Ok(Self {
            counts: arg.ages,
            reused: arg.reused,
        })
    }

    /// Number of objects that were freed while the read section held them. Freeing waits
    /// for a grace period that begins after the unlinking, and so for this section.
    pub fn freed(&self) -> u64 {
        self.reused + self.counts[2..].iter().sum::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_older_than_one_grace_period_are_freed() {
        let ages = |counts, reused| Ages { counts, reused };
        assert_eq!(ages([9, 4, 0, 0], 0).freed(), 0);
        assert_eq!(ages([9, 4, 2, 1], 0).freed(), 3);
        assert_eq!(ages([9, 0, 0, 0], 5).freed(), 5);
    }
}
