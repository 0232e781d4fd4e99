// SPDX-License-Identifier: GPL-2.0

//! The maps of other modules, which end with their module.
//!
//! The drop of a value is text of the module that has made the map, and goes with that module. A
//! map in a static, or one that was forgotten, is not dropped by the module. So each map is on a
//! list here. The loader tells when a module has run its exit function, or when its initialisation
//! has failed. What is left of its maps is then ended, before its text goes.

use super::numbered::{
    Node,
    Numbered, //
};
use crate::{
    storage::{
        drops,
        map::OwnedMap,
        raw_map::RawMap, //
    },
    sync::{
        module::{
            Going,
            GoingNotifier, //
        },
        rcu, //
    }, //
};
use core::{
    ffi::CStr,
    iter,
    mem, //
};
use kernel::{
    prelude::*,
    sync::{
        global_lock,
        Arc, //
    }, //
};

/// The maps of other modules.
struct Maps {
    listed: Numbered<Listed>,
    /// Those that were dropped in the drop of a value, where no map can be waited for.
    ending: Numbered<Listed>,
    /// The number of the map of `ending` that was looked at last, or 0.
    looked_at: u64,
}

/// A map on the list.
struct Listed {
    /// The address of its module.
    module: usize,
    map: Arc<OwnedMap>,
}

global_lock! {
    // SAFETY: `EndWithModule::listen` initialises it, before another module can use this one.
    unsafe(uninit) static MAPS: Mutex<Maps> = Maps {
        listed: Numbered::new(),
        ending: Numbered::new(),
        looked_at: 0,
    };
}

impl Maps {
    /// The first map of `module` above number `after`.
    fn next(&self, after: u64, module: usize) -> Option<Arc<OwnedMap>> {
        let next_of = |maps: &Numbered<Listed>| {
            iter::successors(maps.next(after), |(id, _)| maps.next(*id))
                .find(|(_, listed)| listed.module == module)
                .map(|(_, listed)| listed.map.clone())
        };
        let both = [next_of(&self.listed), next_of(&self.ending)];
        both.into_iter().flatten().min_by_key(|map| map.id())
    }

    /// Looks at one of `ending`, at each in turn. Takes it off if it has ended.
    fn take_gone(&mut self) -> Option<Node<Listed>> {
        let (id, listed) = self.ending.next(mem::take(&mut self.looked_at))?;
        self.looked_at = id;
        if listed.map.is_gone() {
            return self.ending.remove(id);
        }
        None
    }
}

/// Takes a map off the list. Waits until it has ended, unless it had been taken off before.
fn take(id: u64) {
    let node = {
        let mut maps = MAPS.lock();
        maps.listed.remove(id).or_else(|| maps.ending.remove(id))
    };
    // Waits, and that without the lock.
    drop(node);
}

/// Puts a map of `module` on the list. Ends the map if that fails. May sleep.
pub(super) fn list(map: OwnedMap, module: &ThisModule) -> Result {
    let id = map.id();
    let listed = Listed {
        module: module.as_ptr() as usize,
        map: Arc::new(map, GFP_KERNEL)?,
    };
    let node = Node::new(id, listed, GFP_KERNEL)?;
    // So that those that were dropped in drops of values do not pile up.
    let _gone = {
        let mut maps = MAPS.lock();
        maps.listed.insert(node);
        [maps.take_gone(), maps.take_gone()]
    };
    Ok(())
}

/// Ends a map that is on the list, which its module does not use again. Returns when the last value
/// was dropped. May sleep.
///
/// In the drop of a value it does not wait, since it might wait for itself. The map stays on the
/// list, so that its module does not go before it.
pub(super) fn end(map: &RawMap) {
    if !drops::in_drop() {
        return take(map.id());
    }
    map.begin_end();
    let mut maps = MAPS.lock();
    if let Some(node) = maps.listed.remove(map.id()) {
        maps.ending.insert(node);
    }
}

/// Ends the maps of modules that go.
pub(crate) struct EndWithModule;

impl EndWithModule {
    /// Has the loader call [`Going::going`]. May sleep.
    ///
    /// # Safety
    ///
    /// To be called once, before another module can use this one.
    pub(crate) unsafe fn listen() -> impl PinInit<GoingNotifier<Self>, Error> {
        // SAFETY: By the contract.
        unsafe { MAPS.init() };
        GoingNotifier::register()
    }
}

impl Going for EndWithModule {
    /// Ends what is left of the maps of a module, and waits for the drops of their values. May
    /// sleep.
    ///
    /// These drops may use and drop other maps of the module. So no map is freed before all have
    /// ended, and before the first one ends, all refuse to store anything more: nothing would end
    /// what is stored in a map that has ended. The drops may also make new maps, which have higher
    /// numbers, and which end in a round of their own.
    ///
    /// A copy of a value that is being made meanwhile is not waited for. That is done in an RCU
    /// read section, and `free_module()` waits for a grace period before it frees the text.
    fn going(module: &ThisModule, name: &CStr) {
        let next = |after| MAPS.lock().next(after, module.as_ptr() as usize);
        let (mut ended, mut forgotten) = (0, 0u32);
        loop {
            let mut refusing = ended;
            while let Some(map) = next(refusing) {
                forgotten += u32::from(!map.is_ending());
                map.announce_end();
                refusing = map.id();
            }
            if refusing == ended {
                break;
            }
            // For operations that were not refused.
            rcu::synchronize_rcu();
            while let Some(map) = next(ended).filter(|map| map.id() <= refusing) {
                map.begin_end();
                map.wait_until_gone();
                ended = map.id();
            }
            ended = refusing;
        }
        while let Some(map) = next(0) {
            take(map.id());
        }
        if forgotten != 0 {
            pr_notice!(
                "module {name:?} has gone and left {forgotten} maps, which were ended for it\n"
            );
        }
    }
}
