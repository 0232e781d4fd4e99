// SPDX-License-Identifier: GPL-2.0

//! Torture of owner-attached storage: runs its operations in every context, inside one another, in
//! lock cycles, and measures them.
//!
//! It reaches the subsystem by [`owner_storage::api`], [`owner_storage::device`] and the
//! tracepoints, as any other module could. `/dev/owner_storage_torture` takes its commands.

#![crate_name = "owner_storage_torture"]

#[cfg(OSTOR_TEST)]
mod ages;
#[allow(dead_code, reason = "owner_storage uses the rest")]
#[path = "../rust/device/arg.rs"]
mod arg;
mod bench;
mod busy_counter;
mod context;
mod contexts;
mod creation;
mod cycle;
mod device;
#[cfg(OSTOR_TEST)]
mod faults;
mod mass_exit;
mod op;
mod op_stats;
mod probes;
mod recurse;
mod recurse_drop;
mod shim;
mod sync;
mod thread;
mod uapi;

use crate::sync::compat::MiscDeviceRegistration;
use kernel::{
    miscdevice::MiscDeviceOptions,
    prelude::*, //
};

/// Each flavour is for that flavour of owner_storage.
macro_rules! flavour {
    ($name:literal) => {
        module! {
            type: Torture,
            name: $name,
            authors: ["The owner_storage developers"],
            description: "Torture of owner-attached storage: contexts, recursion, lock cycles, cost",
            license: "GPL",
            imports_ns: ["OWNER_STORAGE"],
        }
    };
}

#[cfg(not(OSTOR_TEST_MODULE))]
flavour!("owner_storage_torture");

#[cfg(all(OSTOR_TEST_MODULE, not(OSTOR_BUSTED)))]
flavour!("owner_storage_test_torture");

#[cfg(OSTOR_BUSTED)]
flavour!("owner_storage_busted_torture");

/// The module. An open file of the device holds it.
#[pin_data]
struct Torture {
    #[pin]
    creation: creation::File,
    #[pin]
    device: MiscDeviceRegistration<device::Handle>,
}

impl kernel::InPlaceModule for Torture {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        owner_storage::api::check_abi();
        try_pin_init!(Self {
            device <- MiscDeviceRegistration::register(MiscDeviceOptions {
                name: c"owner_storage_torture",
            }),
            creation <- creation::file(),
        })
    }
}
