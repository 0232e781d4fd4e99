// SPDX-License-Identifier: GPL-2.0

//! The names of the sites.

/// Defines [`Site`]: first the sites that can fail, then those that can only delay.
macro_rules! sites {
    (
        fail { $($(#[$fail_doc:meta])* $fail:ident = $fail_name:literal,)* }
        wait { $($(#[$wait_doc:meta])* $wait:ident = $wait_name:literal,)* }
    ) => {
        /// A site where a call can fail, or can be delayed.
        #[derive(Copy, Clone, PartialEq, Eq, Debug)]
        pub(crate) enum Site {
            $($(#[$fail_doc])* $fail,)*
            $($(#[$wait_doc])* $wait,)*
        }

        #[cfg(OSTOR_TEST)]
        impl Site {
            /// All of them.
            pub(crate) const ALL: &'static [Self] = &[$(Self::$fail,)* $(Self::$wait,)*];

            /// How many can fail. They are the first ones.
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
        /// The lock of a storage, taken to unlink an element, also by the reaper.
        UnlinkLock = c"unlink_lock",
        /// The lock of a bucket in a map's table, taken to unlink an element, also by the reaper.
        BucketLock = c"bucket_lock",
        /// The lock of a bucket in the owner index, taken to unlink a storage, also by the reaper.
        IndexLock = c"index_lock",
        /// The memory of an element.
        ElementAlloc = c"element_alloc",
        /// The memory of a storage.
        StorageAlloc = c"storage_alloc",
        /// The memory of a map's table.
        TableAlloc = c"table_alloc",
        /// The memory of a map without its table.
        MapAlloc = c"map_alloc",
        /// The memory of an open file of the device, and of the buffer that it copies values
        /// through.
        DeviceAlloc = c"device_alloc",
        /// The first notice of an owner's death. A failure loses it.
        DeathNotice = c"death_notice",
        /// The second notice of an owner's death, where its kind has two. A failure loses it.
        Backstop = c"backstop",
        /// The first hook of an accepted connection. A failure makes no copies.
        CloneHook = c"clone_hook",
        /// The second hook of an accepted connection. After a failure no lookup finds the copies.
        /// They end with the socket, or as stale when a value is stored for it.
        ChildHook = c"child_hook",
        /// A hook is to be detached from a function. A failure leaves it attached.
        HookDetach = c"hook_detach",
    }
    wait {
        /// The owner's gate has let a creator through, which is to allocate and link.
        Gate = c"gate",
        /// A storage is to be pushed into the owner index. Its lock is held.
        StoragePublish = c"storage_publish",
        /// A storage is to be killed: by its owner's death, or because it is empty, with its lock
        /// held.
        StorageClaim = c"storage_claim",
        /// An element is to be pushed on its owner's list. The storage's lock is held.
        ListPush = c"list_push",
        /// An element is to be removed from its owner's list. The storage's lock is held.
        ListRemove = c"list_remove",
        /// An element is to be pushed into its map's table, where lookups find it. The storage's
        /// lock is held.
        ElementPush = c"element_push",
        /// An element is to be claimed by a delete, an update, or the end of its owner or map.
        ElementClaim = c"element_claim",
        /// A member is to be removed from a table. The bucket's lock is held.
        TableRemove = c"table_remove",
        /// The owner is charged, and its storage is to note that.
        ChargeAdd = c"charge_add",
        /// A visitor is registered, and is to take bytes off the owner.
        ChargeVisit = c"charge_visit",
        /// The notice of death is to end the charge. From then on no visitor can register.
        ChargeEnd = c"charge_end",
        /// A charge is to be handed to an element.
        PaidGive = c"paid_give",
        /// The claimer of an element is to take its charge.
        PaidTake = c"paid_take",
        /// A map's end is to be announced.
        MapEnding = c"map_ending",
        /// A copy is linked, and the thread that made it is to check whether the map is ending.
        CloneCheck = c"clone_check",
        /// The storage or an element of an accepted socket is to get its final identity.
        Rename = c"rename",
        /// A dead object is to be handed to the reaper.
        HandOver = c"hand_over",
        /// The reaper has taken the objects to free, and is to wait for a grace period.
        GracePeriod = c"grace_period",
        /// A value is to be dropped.
        ValueDrop = c"value_drop",
        /// An element is freed, or a map's end has walked the whole table. The count of what the
        /// map has to wait for is to fall.
        MapRelease = c"map_release",
    }
}
