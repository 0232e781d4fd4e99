// SPDX-License-Identifier: GPL-2.0
//! The last step of the demo: unloading the module.

use std::path::Path;

use anyhow::Result;
use nix::kmod::{DeleteModuleFlags, delete_module};
use ostor::device::DEVICE;

use super::report::DemoReport;

const MODULE: &std::ffi::CStr = c"owner_storage";

/// Unloads the module, and checks that its device is gone.
pub(super) fn step(report: &mut DemoReport<'_>) -> Result<()> {
    let unloaded = delete_module(MODULE, DeleteModuleFlags::O_NONBLOCK);
    let exists = Path::new(DEVICE).exists();
    let outcome = match unloaded {
        Ok(()) if exists => format!("unloaded, but {DEVICE} still exists"),
        Ok(()) => "unloaded, and its device is gone".to_owned(),
        Err(errno) => format!("{errno:?}: {}", errno.desc()),
    };
    report.step("unload the module", outcome, unloaded.is_ok() && !exists)
}
