// SPDX-License-Identifier: GPL-2.0
// error: E0597

//! Values that refer to a variable of the function that stores them.

use kernel::{
    prelude::*,
    sync::rcu,
    task::Task, //
};
use owner_storage::api::{
    Map,
    Mode, //
};

static FOREVER: u64 = 1;

/// Stores a reference to a local variable, or to a static.
pub fn store(map: &Map<&u64>, task: &Task) -> Result {
    #[cfg(MISUSE)]
    let local = FOREVER;
    #[cfg(MISUSE)]
    let value = &local;
    #[cfg(not(MISUSE))]
    let value = &FOREVER;
    map.update(task, Mode::Any, value, &rcu::read_lock())?;
    Ok(())
}
