// SPDX-License-Identifier: GPL-2.0

//! The maps of other modules, which end with their module.
//!
//! The drop of a value is text of the module that has made the map, and goes with that module. A map
//! in a static, or one that was forgotten, is not dropped by the module. So each map is on a list here.
//! The loader tells when a module has run its exit function, or when its initialisation has failed.
//! What is left of its maps is then ended, before its text goes.

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
use kernel::{
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNodeReservation, //
    },
    sync::{
        global_lock,
        Arc, //
    }, //
};

/// A map on the list.
struct Listed {
    /// The address of its module.
    module: usize,
    map: Arc<OwnedMap>,
    /// Whether it was dropped in the drop of a value, where no map can be waited for.
    is_left: bool,
}

global_lock! {
    // SAFETY: `EndWithModule::listen` initialises it, before another module can use this one.
    unsafe(uninit) static LISTED: Mutex<Option<RBTree<u64, Listed>>> = None;
}

/// The first map above number `after` for which `wanted` holds. Not generic, so that the search of the
/// tree is compiled once.
#[inline(never)]
fn next(after: u64, wanted: &dyn Fn(&Listed) -> bool) -> Option<Arc<OwnedMap>> {
    let listed = LISTED.lock();
    let mut maps = listed.as_ref()?.iter();
    Some(
        maps.find(|(&id, map)| id > after && wanted(map))?
            .1
            .map
            .clone(),
    )
}

/// Takes a map off the list. Waits until it has ended, unless it had been taken off before.
fn take(id: u64) {
    let node = LISTED
        .lock()
        .as_mut()
        .and_then(|maps| maps.remove_node(&id));
    // Waits, and that without the lock.
    drop(node);
}

/// Puts a map of `module` on the list. Ends the map if that fails. May sleep.
pub(super) fn list(map: OwnedMap, module: &ThisModule) -> Result {
    // Maps that were dropped in drops of values are freed here, so that they do not pile up.
    while let Some(gone) = next(0, &|other| other.is_left && other.map.is_gone()) {
        take(gone.id());
    }
    let listed = Listed {
        module: module.as_ptr() as usize,
        map: Arc::new(map, GFP_KERNEL)?,
        is_left: false,
    };
    let place = RBTreeNodeReservation::new(GFP_KERNEL)?;
    let node = place.into_node(listed.map.id(), listed);
    // There is no other map with that number.
    let _ = LISTED.lock().get_or_insert_with(RBTree::new).insert(node);
    Ok(())
}

/// Ends a map that is on the list, which its module does not use again. Returns when the last value
/// was dropped. May sleep.
///
/// In the drop of a value it does not wait, since it might wait for itself. The map stays on the list,
/// so that its module does not go before it.
pub(super) fn end(map: &RawMap) {
    if !drops::in_drop() {
        return take(map.id());
    }
    map.begin_end();
    if let Some(listed) = LISTED
        .lock()
        .as_mut()
        .and_then(|maps| maps.get_mut(&map.id()))
    {
        listed.is_left = true;
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
        unsafe { LISTED.init() };
        GoingNotifier::register()
    }
}

impl Going for EndWithModule {
    /// Ends what is left of the maps of a module, and waits for the drops of their values. May sleep.
    ///
    /// These drops may use and drop other maps of the module. So no map is freed before all have ended,
    /// and before the first one ends, all refuse to store anything more: nothing would end what is
    /// stored in a map that has ended. The drops may also make new maps, which have higher numbers, and
    /// which end in a round of their own.
    ///
    /// A copy of a value that is being made meanwhile is not waited for. That is done in an RCU read
    /// section, and `free_module()` waits for a grace period before it frees the text.
    fn going(module: &ThisModule) {
        let address = module.as_ptr() as usize;
        let next = |after| next(after, &|map: &Listed| map.module == address);
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
            pr_notice!("a module has gone and left {forgotten} maps, which were ended for it\n");
        }
    }
}
