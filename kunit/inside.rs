// SPDX-License-Identifier: GPL-2.0

//! Code that runs inside an operation.

use super::probes::Probes;
use crate::sync::trace::Event;
use kernel::error::Result;

/// Runs `body` on this task with `inside` called at the first `event` of the owner at `addr` that
/// `body` passes: in that context, with the locks held that the event names. Task context, may
/// sleep, but for `inside`.
pub(super) fn with_probe<R>(
    event: Event,
    addr: usize,
    inside: &mut impl FnMut(),
    body: impl FnOnce() -> R,
) -> Result<R> {
    let probes = Probes::new()?;
    let session = probes.session()?;
    Ok(session.with_probe(event, addr, inside, body))
}
