// SPDX-License-Identifier: GPL-2.0
// error: E0505

//! A value that is used after its map has gone.

use kernel::{
    sync::rcu,
    task::Task, //
};
use owner_storage::api::Map;

/// The map is dropped before the value is read, or after that.
pub fn read(map: Map<u64>, task: &Task) -> u64 {
    let rcu = rcu::read_lock();
    let value = map.get(task, &rcu);
    #[cfg(MISUSE)]
    drop(map);
    value.map_or(0, |value| *value)
}
