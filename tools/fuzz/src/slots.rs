// SPDX-License-Identifier: GPL-2.0
//! The descriptors that calls name: fixed numbers for each class of files. Another thread
//! may have closed a descriptor or put another file there.

use std::sync::atomic::{AtomicU64, Ordering};

use ostor::random::Random;

use crate::sys::descriptor::FIRST;

/// The class of files at a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
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
    /// The torture device.
    Torture,
    /// An open device that is not a map, a second descriptor of a map, files of other
    /// kinds, or a closed descriptor.
    Odd,
}

/// Number of descriptors of each class, in the order of [`Class`].
const COUNTS: [i32; 7] = [8, 8, 4, 8, 2, 2, 8];

/// Value sizes of the maps, in the order of their numbers.
const VALUE_SIZES: [u32; 5] = [1, 16, 64, 1000, uapi::OSTOR_VALUE_SIZE_MAX];

impl Class {
    pub(crate) const ALL: [Self; 7] = [
        Self::Maps,
        Self::Tasks,
        Self::Cgroups,
        Self::Sockets,
        Self::Netns,
        Self::Torture,
        Self::Odd,
    ];

    /// The numbers of the class.
    pub(crate) fn numbers(self) -> std::ops::Range<i32> {
        let before: i32 = COUNTS[..self as usize].iter().sum();
        FIRST + before..FIRST + before + COUNTS[self as usize]
    }
}

/// A number of a class.
pub(crate) fn any_of(class: Class, random: &mut Random) -> i32 {
    let numbers = class.numbers();
    numbers.start + random.below(numbers.len()) as i32
}

/// Any number, also one without an open file.
pub(crate) fn any(random: &mut Random) -> i32 {
    match random.below(16) {
        0 => -1,
        1 => i32::MAX,
        2 => random.below(3) as i32,
        _ => any_of(*random.pick(&Class::ALL), random),
    }
}

/// The value size of the map at a number.
pub(crate) fn value_size_at(number: i32) -> u32 {
    VALUE_SIZES[number.unsigned_abs() as usize % VALUE_SIZES.len()]
}

/// The value size of one of the maps.
pub(crate) fn value_size(random: &mut Random) -> u32 {
    *random.pick(&VALUE_SIZES)
}

/// Ids of cgroups that exist or have existed.
static CGROUP_IDS: [AtomicU64; 8] = [const { AtomicU64::new(1) }; 8];

/// The id of a cgroup.
pub(crate) fn cgroup_id(random: &mut Random) -> u64 {
    random.pick(&CGROUP_IDS).load(Ordering::Relaxed)
}

/// Stores the id of a cgroup.
pub(crate) fn remember_cgroup(id: u64, random: &mut Random) {
    random.pick(&CGROUP_IDS).store(id, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_classes_do_not_overlap() {
        let mut next = FIRST;
        for class in Class::ALL {
            assert_eq!(class.numbers().start, next);
            next = class.numbers().end;
        }
    }
}
