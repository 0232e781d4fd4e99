// SPDX-License-Identifier: GPL-2.0
//! The limit of sockets' option memory, `net.core.optmem_max`.

use std::fs;

use anyhow::{Context, Result};

/// The file of the limit.
const SYSCTL: &str = "/proc/sys/net/core/optmem_max";

/// The limit in bytes.
pub fn limit() -> Result<u64> {
    let text = fs::read_to_string(SYSCTL).with_context(|| format!("cannot read {SYSCTL}"))?;
    text.trim()
        .parse()
        .with_context(|| format!("{SYSCTL} is not a number"))
}

/// Sets another limit until this is dropped.
#[derive(Debug)]
pub struct OtherLimit {
    before: u64,
}

impl OtherLimit {
    /// Sets the limit.
    pub fn set(bytes: u64) -> Result<Self> {
        let before = limit()?;
        write(bytes)?;
        Ok(Self { before })
    }
}

impl Drop for OtherLimit {
    fn drop(&mut self) {
        let _ = write(self.before);
    }
}

fn write(bytes: u64) -> Result<()> {
    fs::write(SYSCTL, bytes.to_string()).with_context(|| format!("cannot set {SYSCTL}"))
}
