// SPDX-License-Identifier: GPL-2.0
//! Having more descriptors than a process may by default.

use anyhow::{Context, Result};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// What a process has open besides what a player opens.
const SPARE: u64 = 100;

/// Lets this process open so many descriptors.
pub(crate) fn allow(count: u64) -> Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let wanted = count + SPARE;
    if soft < wanted {
        setrlimit(Resource::RLIMIT_NOFILE, wanted, hard.max(wanted)).with_context(|| {
            format!("cannot have {wanted} descriptors; raise fs.nr_open or ask for fewer")
        })?;
    }
    Ok(())
}
