// SPDX-License-Identifier: GPL-2.0
//! The last step of the demo: unloading the module.

use std::ffi::CStr;
use std::path::Path;

use anyhow::Result;
use nix::errno::Errno;
use nix::kmod::{DeleteModuleFlags, delete_module};
use ostor::device::DEVICE;

use super::report::DemoReport;

const MODULE: &CStr = c"owner_storage";
const TORTURE: &CStr = c"owner_storage_torture";

/// Unloads the module, and the torture module that uses it, and checks that its device is
/// gone.
pub(super) fn step(report: &mut DemoReport<'_>) -> Result<()> {
    let unload = |module| delete_module(module, DeleteModuleFlags::O_NONBLOCK);
    let unloaded = match unload(TORTURE) {
        Ok(()) | Err(Errno::ENOENT) => unload(MODULE),
        Err(errno) => Err(errno),
    };
    let exists = Path::new(DEVICE).exists();
    let outcome = match unloaded {
        Ok(()) if exists => format!("unloaded, but {DEVICE} still exists"),
        Ok(()) => "unloaded, and its device is gone".to_owned(),
        Err(errno) => format!("{errno:?}: {}", errno.desc()),
    };
    report.step("unload the module", outcome, unloaded.is_ok() && !exists)
}
