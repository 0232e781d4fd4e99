// SPDX-License-Identifier: GPL-2.0
// error: E0596

//! A slot that is moved: its values are found by its address, and change hints in it when they end.

use kernel::prelude::*;
use owner_storage::api::OwnerSlot;

/// Exchanges two owners.
pub fn exchange(one: &mut Pin<KBox<OwnerSlot>>, other: &mut Pin<KBox<OwnerSlot>>) {
    #[cfg(MISUSE)]
    core::mem::swap(&mut **one, &mut **other);
    #[cfg(not(MISUSE))]
    core::mem::swap(one, other);
}
