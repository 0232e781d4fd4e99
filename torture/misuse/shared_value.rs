// SPDX-License-Identifier: GPL-2.0
// error: E0594

//! A value that is written while other CPUs may read it.

use kernel::{
    prelude::*,
    sync::rcu,
    task::Task, //
};
use owner_storage::api::{
    Map,
    Mode, //
};

/// Writes the value in its place, or replaces it.
pub fn write(map: &Map<u64>, task: &Task, value: u64) -> Result {
    let rcu = rcu::read_lock();
    #[cfg(MISUSE)]
    if let Some(place) = map.get(task, &rcu) {
        *place = value;
    }
    map.update(task, Mode::Exist, value, &rcu)?;
    Ok(())
}
