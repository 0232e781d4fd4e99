// SPDX-License-Identifier: GPL-2.0
//! The descriptors that calls name: a fixed number for each, by what it is meant
//! to be. Another thread may have closed or replaced what is there.

use std::sync::atomic::{AtomicU64, Ordering};

use ostor::random::Random;

use crate::sys::descriptor::FIRST;

/// What is at a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// Maps.
    Maps,
    /// Pidfds.
    Tasks,
    /// Directories of cgroups.
    Cgroups,
    /// Sockets.
    Sockets,
    /// Network namespaces.
    Netns,
    /// The device that is no map yet, a map's second descriptor, files of other
    /// kinds, nothing.
    Odd,
}

/// How many numbers there are for each, in the order of [`Room`].
const COUNTS: [i32; 6] = [8, 8, 4, 8, 2, 8];

/// The sizes of the maps' values, in turn.
const VALUE_SIZES: [u32; 5] = [1, 16, 64, 1000, uapi::OSTOR_VALUE_SIZE_MAX];

impl Room {
    pub(crate) const ALL: [Self; 6] = [
        Self::Maps,
        Self::Tasks,
        Self::Cgroups,
        Self::Sockets,
        Self::Netns,
        Self::Odd,
    ];

    /// Its numbers.
    pub(crate) fn numbers(self) -> std::ops::Range<i32> {
        let before: i32 = COUNTS[..self as usize].iter().sum();
        FIRST + before..FIRST + before + COUNTS[self as usize]
    }
}

/// A number of a room.
pub(crate) fn any_of(room: Room, random: &mut Random) -> i32 {
    let numbers = room.numbers();
    numbers.start + random.below(numbers.len()) as i32
}

/// Any number, some of which nobody has anything at.
pub(crate) fn any(random: &mut Random) -> i32 {
    match random.below(16) {
        0 => -1,
        1 => i32::MAX,
        2 => random.below(3) as i32,
        _ => any_of(*random.pick(&Room::ALL), random),
    }
}

/// The size of the values in the map that is at a number.
pub(crate) fn value_size_at(number: i32) -> u32 {
    VALUE_SIZES[number.unsigned_abs() as usize % VALUE_SIZES.len()]
}

/// A size that some of the maps have.
pub(crate) fn value_size(random: &mut Random) -> u32 {
    *random.pick(&VALUE_SIZES)
}

/// Ids of cgroups that there are or were.
static CGROUP_IDS: [AtomicU64; 8] = [const { AtomicU64::new(1) }; 8];

/// An id of a cgroup.
pub(crate) fn cgroup_id(random: &mut Random) -> u64 {
    random.pick(&CGROUP_IDS).load(Ordering::Relaxed)
}

/// Remembers a cgroup's id.
pub(crate) fn remember_cgroup(id: u64, random: &mut Random) {
    random.pick(&CGROUP_IDS).store(id, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_room_has_numbers_of_its_own() {
        let mut next = FIRST;
        for room in Room::ALL {
            assert_eq!(room.numbers().start, next);
            next = room.numbers().end;
        }
    }
}
