// SPDX-License-Identifier: GPL-2.0
//! Raising the limit of open descriptors.

use anyhow::{Context, Result};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Descriptors of a process besides those of its owners and maps.
const SPARE: u64 = 100;

/// Raises the limit so that this process can open `count` descriptors.
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
