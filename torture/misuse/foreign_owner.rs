// SPDX-License-Identifier: GPL-2.0
// error: E0277

//! An owner whose death owner_storage would not hear of.

use kernel::sync::rcu::Guard;
use owner_storage::api::{
    Map,
    OwnerSlot, //
};

/// An object.
pub struct Object {
    /// What makes it an owner.
    pub slot: OwnerSlot,
}

#[cfg(MISUSE)]
impl owner_storage::api::Owner for Object {}

/// The value of an object, found by the object or by its slot.
pub fn get<'a>(map: &'a Map<u64>, object: &Object, rcu: &'a Guard) -> Option<&'a u64> {
    #[cfg(MISUSE)]
    let owner = object;
    #[cfg(not(MISUSE))]
    let owner = &object.slot;
    map.get(owner, rcu)
}
