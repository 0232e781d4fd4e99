// SPDX-License-Identifier: GPL-2.0
// error: E0521

//! A value that is kept after a visit.

use owner_storage::api::Map;

/// Keeps a reference to a value, or a copy of it.
#[cfg(MISUSE)]
pub fn last(map: &Map<u64>) -> u64 {
    let mut last = None;
    map.for_each(|_, value| last = Some(value));
    last.map_or(0, |value| *value)
}

/// As above.
#[cfg(not(MISUSE))]
pub fn last(map: &Map<u64>) -> u64 {
    let mut last = None;
    map.for_each(|_, value| last = Some(*value));
    last.unwrap_or(0)
}
