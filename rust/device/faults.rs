// SPDX-License-Identifier: GPL-2.0

//! The fault sites, for tests in user space.

use super::Arg;
use crate::{
    sync::fault::{
        knobs::{
            self,
            Settings, //
        },
        Site, //
    },
    uapi::ostor_fault, //
};
use kernel::prelude::*;

pub(super) fn fault(arg: &Arg) -> Result {
    let req: ostor_fault = arg.read_for_update()?;
    if req.pad != 0 || req.reserved != [0; 2] {
        return Err(EINVAL);
    }
    let point = Site::ALL.get(usize::try_from(req.point)?).ok_or(EINVAL)?;
    match req.set {
        0 => {}
        1 => knobs::set(*point, settings(&req))?,
        _ => return Err(EINVAL),
    }
    arg.write(&now(*point, req.set))
}

fn settings(req: &ostor_fault) -> Settings {
    Settings {
        probability: req.probability,
        interval: req.interval,
        space: req.space,
        times: req.times,
        delay_us: req.delay_us,
    }
}

fn now(point: Site, set: u32) -> ostor_fault {
    let knobs = knobs::of(point);
    let settings = knobs.settings();
    let mut now = ostor_fault {
        point: point as u32,
        set,
        probability: settings.probability,
        interval: settings.interval,
        space: settings.space,
        times: settings.times,
        delay_us: settings.delay_us,
        passed: knobs.passed(),
        failed: knobs.failed(),
        ..ostor_fault::default()
    };
    for (to, from) in now.name.iter_mut().zip(point.name().to_bytes()) {
        *to = *from;
    }
    now
}
