// SPDX-License-Identifier: GPL-2.0

//! Faults that a test sets at a site, until they are dropped.

use crate::sync::fault::{
    knobs::{
        self,
        Knobs,
        Settings, //
    },
    Site, //
};
use core::ops::Deref;
use kernel::prelude::*;

/// The faults of one site, which end when it is dropped.
#[must_use = "dropping it ends the fault"]
pub(super) struct Injected(Site);

impl Deref for Injected {
    type Target = Knobs;

    /// The site's settings and counts.
    fn deref(&self) -> &Knobs {
        knobs::of(self.0)
    }
}

impl Drop for Injected {
    fn drop(&mut self) {
        // `OFF` is within bounds, and is never refused.
        let _ = knobs::set(self.0, Settings::OFF);
    }
}

/// Applies `settings` to `site`.
pub(super) fn inject_as(site: Site, settings: Settings) -> Result<Injected> {
    knobs::set(site, settings)?;
    Ok(Injected(site))
}

/// Makes each call of `site` fail: the first `times` calls only, unless that is negative.
pub(super) fn inject(site: Site, times: i32) -> Result<Injected> {
    let settings = Settings {
        probability: 100,
        times,
        ..Settings::OFF
    };
    inject_as(site, settings)
}

/// Makes the `n`th call of `site` fail, counted from 1, and no other.
pub(super) fn inject_nth(site: Site, n: u32) -> Result<Injected> {
    let settings = Settings {
        probability: 100,
        space: n - 1,
        times: 1,
        ..Settings::OFF
    };
    inject_as(site, settings)
}

/// Makes `percent` of all calls of `site` fail.
pub(super) fn inject_some(site: Site, percent: u32) -> Result<Injected> {
    let settings = Settings {
        probability: percent,
        ..Settings::OFF
    };
    inject_as(site, settings)
}

/// Delays each call of `site` by `delay_us` microseconds.
pub(super) fn delay(site: Site, delay_us: u32) -> Result<Injected> {
    let settings = Settings {
        delay_us,
        ..Settings::OFF
    };
    inject_as(site, settings)
}
