// SPDX-License-Identifier: GPL-2.0

//! Owner-attached storage.
//!
//! Attaches values to tasks, cgroups and sockets that the attaching code does not own, finds them
//! in any context, and frees them once: when the owner dies, when the map goes, or when the module
//! goes.
//!
//! The rooms, from the bottom: `shim` is C; `sync` makes it safe Rust; `storage` is the
//! algorithm; `owner` are the kinds of owners; [`api`] is what other modules use; [`device`] is
//! `/dev/owner_storage`. A room uses only those below it.

#![crate_name = "owner_storage"]
#![cfg_attr(
    all(OSTOR_TEST, not(OSTOR_KUNIT)),
    allow(
        dead_code,
        unused_imports,
        reason = "some of the test flavour is for the suites, which a kernel without KUnit cannot run"
    )
)]

pub mod api;
pub mod device;
mod owner;
mod shim;
mod storage;
mod sync;
mod uapi;

#[cfg(OSTOR_KUNIT)]
#[path = "../kunit/mod.rs"]
mod kunit;

use crate::{
    owner::kinds::{
        AllHooks,
        Mute, //
    },
    sync::{
        compat::MiscDeviceRegistration,
        params, //
    },
};
use kernel::{
    miscdevice::MiscDeviceOptions,
    prelude::*, //
};

/// The flavours of the module differ in name and description.
macro_rules! flavour {
    ($name:literal, $description:literal) => {
        module! {
            type: OwnerStorage,
            name: $name,
            authors: ["The owner_storage developers"],
            description: $description,
            license: "GPL",
        }
    };
}

#[cfg(not(OSTOR_TEST_MODULE))]
flavour!(
    "owner_storage",
    "Owner-attached storage: values attached to tasks, cgroups and sockets"
);

#[cfg(all(OSTOR_TEST_MODULE, not(OSTOR_BUSTED)))]
flavour!(
    "owner_storage_test",
    "Owner-attached storage, test flavour: KUnit suites and fault sites"
);

#[cfg(OSTOR_BUSTED)]
flavour!(
    "owner_storage_busted",
    "Owner-attached storage, test flavour, broken on purpose: never to be used"
);

#[cfg(OSTOR_TEST)]
fn mute() -> Mute {
    Mute {
        startup: params::mute_startup(),
        later: params::mute_deaths(),
    }
}

#[cfg(not(OSTOR_TEST))]
fn mute() -> Mute {
    Mute {
        startup: 0,
        later: 0,
    }
}

/// The module. The order of the fields is the order in which it ends: no new user first, then no
/// user, then no notice, then nothing left to free.
///
/// Every map is an open file of the device, which holds the module. `rmmod -f` unloads it all the
/// same: the hooks stay until the last file is closed, since a map without them would outlive its
/// owners.
#[pin_data]
struct OwnerStorage {
    #[cfg(OSTOR_TEST)]
    #[pin]
    faults: sync::fault::knobs::Files,
    #[pin]
    device: MiscDeviceRegistration<device::Handle>,
    wait_for_users: sync::module::WaitForUsers,
    programs: device::bpf::Programs,
    #[pin]
    end_with_module: sync::module::GoingNotifier<api::EndWithModule>,
    hooks: AllHooks,
    #[cfg(OSTOR_TEST)]
    last_puts: owner::last_put::LastPuts,
    runtime: storage::runtime::Running,
}

impl kernel::InPlaceModule for OwnerStorage {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        #[cfg(OSTOR_BUSTED)]
        pr_alert!("broken on purpose: {}\n", env!("OSTOR_BUSTED"));
        let sizes = storage::runtime::Sizes {
            map_bits: params::map_bits(),
            index_bits: params::index_bits(),
        };
        let watermarks =
            storage::pending::Watermarks::new(params::pending_hurry(), params::pending_limit());
        // The hooks come before the device, so that no owner with a value dies unnoticed. Fields
        // are initialised in this order, and dropped in the order of the type.
        try_pin_init!(Self {
            runtime: storage::runtime::Running::start(sizes, watermarks)?,
            #[cfg(OSTOR_TEST)]
            faults <- sync::fault::knobs::files(),
            #[cfg(OSTOR_TEST)]
            last_puts: owner::last_put::LastPuts::attach(),
            hooks: AllHooks::attach(mute()),
            // SAFETY: Once, and no module can use this one before its initialisation has ended.
            end_with_module <- unsafe { api::EndWithModule::listen() },
            _: {
                // SAFETY: Once, and before the device is registered.
                unsafe { device::maps::init() };
            },
            programs: device::bpf::Programs::start()?,
            device <- MiscDeviceRegistration::register(MiscDeviceOptions {
                name: c"owner_storage",
            }),
            // Last: its drop must not come while the loader holds the module.
            wait_for_users: sync::module::WaitForUsers,
        })
    }
}
