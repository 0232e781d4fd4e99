// SPDX-License-Identifier: GPL-2.0
//! The demo's last act: unloading the module.

use std::path::Path;

use nix::kmod::{DeleteModuleFlags, delete_module};
use ostor::device::DEVICE;

use super::report::Report;

const MODULE: &std::ffi::CStr = c"owner_storage";

/// Unloads the module, after which its device is gone.
pub(crate) fn act(report: &mut Report<'_>) {
    let tried = "unload the module";
    match delete_module(MODULE, DeleteModuleFlags::O_NONBLOCK) {
        Ok(()) if Path::new(DEVICE).exists() => {
            report.row(
                tried,
                format!("unloaded, but {DEVICE} is still there"),
                false,
            );
        }
        Ok(()) => report.row(tried, "unloaded, and its device is gone", true),
        Err(errno) => report.row(tried, format!("{errno:?}: {}", errno.desc()), false),
    }
}
