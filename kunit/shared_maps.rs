// SPDX-License-Identifier: GPL-2.0

//! The end of the device's maps.

use crate::{
    storage::runtime::Runtime,
    sync::{
        Atomic,
        Relaxed, //
    },
};
use kernel::{
    prelude::*,
    task::Task, //
};

/// The task that ends a map.
static TASK: Atomic<usize> = Atomic::new(0);

/// The number of maps when that task handed memory to RCU last.
static MAPS: Atomic<u64> = Atomic::new(0);

/// # Safety
///
/// None.
unsafe extern "C" fn on_kfree_rcu(_: usize, _: usize) {
    let runtime = Runtime::get().filter(|_| Task::current_raw() as usize == TASK.load(Relaxed));
    if let Some(runtime) = runtime {
        MAPS.store(runtime.stats.maps.get(), Relaxed);
    }
}

#[kunit_tests(ostor_shared_maps)]
mod tests {
    use super::*;
    use crate::{
        device::bpf::SharedMap,
        owner::hook::FtraceHook,
        storage::map::ByteMap, //
    };

    /// `kfree_rcu_mightsleep()` may sleep, and the unloading of the module does not wait for a task
    /// that sleeps in it once no map is left.
    #[test]
    fn memory_goes_to_rcu_before_the_map_ends() -> Result {
        // SAFETY: `on_kfree_rcu` may be called anywhere.
        let _hook = unsafe { FtraceHook::attach(c"kvfree_call_rcu", on_kfree_rcu) }?;
        let map = SharedMap::new(|| ByteMap::new(8))?;
        let maps = Runtime::get().ok_or(ENODEV)?.stats.maps.get();
        TASK.store(Task::current_raw() as usize, Relaxed);
        drop(map);
        TASK.store(0, Relaxed);
        // The map is one of them.
        assert!(maps > 0 && MAPS.load(Relaxed) == maps);
        Ok(())
    }
}
