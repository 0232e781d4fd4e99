// SPDX-License-Identifier: GPL-2.0

//! The fault sites of the test flavour.

use crate::sync::fault::{
    knobs,
    Site, //
};
use core::ffi::CStr;
use kernel::prelude::*;

pub use knobs::Settings;

/// What a site is set to, and what has come past it since.
pub struct State {
    /// Its name, as in debugfs.
    pub name: &'static CStr,
    /// What it is set to.
    pub settings: Settings,
    /// Passes while there was a chance of a failure, or a delay.
    pub passed: u64,
    /// How many of them failed.
    pub failed: u64,
}

/// Site number `number` now.
pub fn state(number: usize) -> Option<State> {
    let site = *Site::ALL.get(number)?;
    let knobs = knobs::of(site);
    Some(State {
        name: site.name(),
        settings: knobs.settings(),
        passed: knobs.passed(),
        failed: knobs.failed(),
    })
}

/// Sets site number `number`, and has it count anew. Fails with `EINVAL` if there is no such site,
/// or if a setting is out of its range.
pub fn set(number: usize, settings: Settings) -> Result {
    knobs::set(*Site::ALL.get(number).ok_or(EINVAL)?, settings)
}
