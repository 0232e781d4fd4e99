// SPDX-License-Identifier: GPL-2.0

//! Faults for the run of a test.

use crate::sync::fault::{
    knobs::{
        self,
        Knobs,
        Settings, //
    },
    Point, //
};
use core::ops::Deref;
use kernel::prelude::*;

/// A fault that is active until it is dropped.
#[must_use = "dropping it ends the fault"]
pub(super) struct Injected(Point);

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

/// Has `point` do as `settings` say.
pub(super) fn inject_as(point: Point, settings: Settings) -> Result<Injected> {
    knobs::set(point, settings)?;
    Ok(Injected(point))
}

/// Makes `point` fail, at most `times` times if that is not negative.
pub(super) fn inject(point: Point, times: i32) -> Result<Injected> {
    let settings = Settings {
        probability: 100,
        times,
        ..Settings::OFF
    };
    inject_as(point, settings)
}

/// Makes `point` fail once, for the `n`th who comes, counted from 1.
pub(super) fn inject_nth(point: Point, n: u32) -> Result<Injected> {
    let settings = Settings {
        probability: 100,
        space: n - 1,
        times: 1,
        ..Settings::OFF
    };
    inject_as(point, settings)
}

/// Makes `percent` of all that pass `point` fail.
pub(super) fn inject_some(point: Point, percent: u32) -> Result<Injected> {
    let settings = Settings {
        probability: percent,
        ..Settings::OFF
    };
    inject_as(point, settings)
}

/// Makes all that pass `point` stand still for `delay_us`.
pub(super) fn delay(point: Point, delay_us: u32) -> Result<Injected> {
    let settings = Settings {
        delay_us,
        ..Settings::OFF
    };
    inject_as(point, settings)
}
