// SPDX-License-Identifier: GPL-2.0

//! The fault sites of owner_storage's test flavour, for tests in user space.

use crate::{
    arg::Arg,
    uapi::ostor_fault, //
};
use kernel::prelude::*;
use owner_storage::api::faults::{
    self,
    Settings,
    State, //
};

/// Sets a fault site, or reads it.
pub(crate) fn fault(arg: &Arg) -> Result {
    let mut req = ostor_fault::default();
    arg.read_for_update(&mut req)?;
    if req.pad != 0 || req.reserved != [0; 2] {
        return Err(EINVAL);
    }
    let site = usize::try_from(req.site)?;
    match req.set {
        0 => {}
        1 => faults::set(site, settings(&req))?,
        _ => return Err(EINVAL),
    }
    arg.write(&now(&req, &faults::state(site).ok_or(EINVAL)?))
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

fn now(req: &ostor_fault, state: &State) -> ostor_fault {
    let mut now = ostor_fault {
        site: req.site,
        set: req.set,
        probability: state.settings.probability,
        interval: state.settings.interval,
        space: state.settings.space,
        times: state.settings.times,
        delay_us: state.settings.delay_us,
        passed: state.passed,
        failed: state.failed,
        ..ostor_fault::default()
    };
    for (to, from) in now.name.iter_mut().zip(state.name.to_bytes()) {
        *to = *from;
    }
    now
}
