// SPDX-License-Identifier: GPL-2.0

//! Faults for the run of a test.

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

/// A fault that is active until it is dropped.
#[must_use = "dropping it ends the fault"]
pub(super) struct Injected(Site);

impl Deref for Injected {
    type Target = Knobs;

    /// What has come of it so far.
    fn deref(&self) -> &Knobs {
        knobs::of(self.0)
    }
}

impl Drop for Injected {
    fn drop(&mut self) {
        // Nothing is no setting that is refused.
        let _ = knobs::set(self.0, Settings::OFF);
    }
}

/// Has `site` do as `settings` say.
pub(super) fn inject_as(site: Site, settings: Settings) -> Result<Injected> {
    knobs::set(site, settings)?;
    Ok(Injected(site))
}

/// Makes `site` fail, at most `times` times if that is not negative.
pub(super) fn inject(site: Site, times: i32) -> Result<Injected> {
    let settings = Settings {
        probability: 100,
        times,
        ..Settings::OFF
    };
    inject_as(site, settings)
}

/// Makes `site` fail once, for the `n`th who comes, counted from 1.
pub(super) fn inject_nth(site: Site, n: u32) -> Result<Injected> {
    let settings = Settings {
        probability: 100,
        space: n - 1,
        times: 1,
        ..Settings::OFF
    };
    inject_as(site, settings)
}

/// Makes `percent` of all that pass `site` fail.
pub(super) fn inject_some(site: Site, percent: u32) -> Result<Injected> {
    let settings = Settings {
        probability: percent,
        ..Settings::OFF
    };
    inject_as(site, settings)
}

/// Makes all that pass `site` stand still for `delay_us`.
pub(super) fn delay(site: Site, delay_us: u32) -> Result<Injected> {
    let settings = Settings {
        delay_us,
        ..Settings::OFF
    };
    inject_as(site, settings)
}
