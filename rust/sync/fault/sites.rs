// SPDX-License-Identifier: GPL-2.0

//! The sites, by name.

/// Defines [`Site`]: first the sites that can fail, then those that can only stand still.
macro_rules! sites {
    (
        fail { $($(#[$fail_doc:meta])* $fail:ident = $fail_name:literal,)* }
        wait { $($(#[$wait_doc:meta])* $wait:ident = $wait_name:literal,)* }
    ) => {
        /// A site where something can fail, or stand still for a moment.
        #[derive(Copy, Clone, PartialEq, Eq, Debug)]
        pub(crate) enum Site {
            $($(#[$fail_doc])* $fail,)*
            $($(#[$wait_doc])* $wait,)*
        }

        #[cfg(OSTOR_TEST)]
        impl Site {
            /// All of them.
            pub(crate) const ALL: &'static [Self] = &[$(Self::$fail,)* $(Self::$wait,)*];

            /// How many can fail: the first ones.
            pub(crate) const FAILING: usize = [$(Self::$fail),*].len();

            /// The name, of 23 bytes at most.
            pub(crate) const fn name(self) -> &'static core::ffi::CStr {
                match self {
                    $(Self::$fail => $fail_name,)*
                    $(Self::$wait => $wait_name,)*
                }
            }

            /// Whether it can fail.
            pub(crate) fn can_fail(self) -> bool {
                (self as usize) < Self::FAILING
            }
        }
    };
}

sites! {
    fail {
        /// The lock of a storage, taken to link an element.
        LinkLock = c"link_lock",
        /// The lock of a storage, taken to unlink an element, by the reaper too.
        UnlinkLock = c"unlink_lock",
        /// The lock of a bucket in a map's table, taken to unlink an element, by the reaper too.
        BucketLock = c"bucket_lock",
        /// The lock of a bucket in the owner index, taken to unlink a storage, by the reaper too.
        IndexLock = c"index_lock",
        /// The memory of an element.
        ElementAlloc = c"element_alloc",
        /// The memory of a storage.
        StorageAlloc = c"storage_alloc",
        /// The memory of a map's table.
        TableAlloc = c"table_alloc",
        /// The memory of a map without its table.
        MapAlloc = c"map_alloc",
        /// The memory of an open file of the device, and of what it copies values through.
        DeviceAlloc = c"device_alloc",
        /// The first notice of an owner's death: a failure loses it.
        DeathNotice = c"death_notice",
        /// The second notice of an owner's death, where a kind has two: a failure loses it.
        Backstop = c"backstop",
        /// The first hook of an accepted connection: a failure makes no copies.
        CloneHook = c"clone_hook",
        /// The second hook of an accepted connection: after a failure nobody finds the copies,
        /// which end with the socket, or as stale when it gets a value of its own.
        ChildHook = c"child_hook",
        /// A hook is to be detached from a function: a failure leaves it attached.
        HookDetach = c"hook_detach",
    }
    wait {
        /// A creator is past the owner's gate and is to allocate and link.
        Gate = c"gate",
        /// A storage is to become a member of the owner index; its lock is held.
        StoragePublish = c"storage_publish",
        /// A storage is to be killed: by the owner's death, or empty and with its lock held.
        StorageClaim = c"storage_claim",
        /// An element is to go on its owner's list; the storage's lock is held.
        ListPush = c"list_push",
        /// An element is to leave its owner's list; the storage's lock is held.
        ListRemove = c"list_remove",
        /// An element is to become a member of its map's table, where it can be found; the
        /// storage's lock is held.
        ElementPush = c"element_push",
        /// An element is to be claimed: deleted, replaced, or ended with its owner or map.
        ElementClaim = c"element_claim",
        /// A member is to leave a table; the bucket's lock is held.
        TableRemove = c"table_remove",
        /// The owner is charged; the storage is to note it.
        ChargeAdd = c"charge_add",
        /// A visitor is registered; it is to give bytes back to the owner.
        ChargeVisit = c"charge_visit",
        /// The notice of death is to end the charge, and to let no visitor in any more.
        ChargeEnd = c"charge_end",
        /// An element is to be handed a charge.
        PaidGive = c"paid_give",
        /// Who claimed an element is to take its charge.
        PaidTake = c"paid_take",
        /// A map's end is to be announced to those who copy.
        MapEnding = c"map_ending",
        /// A copy is made; its maker is to look whether the map is ending.
        CloneCheck = c"clone_check",
        /// A newborn owner's storage or element is to get its final identity.
        Rename = c"rename",
        /// Something dead is to be handed to the reaper.
        HandOver = c"hand_over",
        /// The reaper has taken what it frees, and is to wait for a grace period.
        GracePeriod = c"grace_period",
        /// A value is to be dropped.
        ValueDrop = c"value_drop",
        /// An element is freed, or a map's end has walked it all; the map is to be told.
        MapRelease = c"map_release",
    }
}
