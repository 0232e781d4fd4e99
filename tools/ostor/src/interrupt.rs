// SPDX-License-Identifier: GPL-2.0
//! Being told to end, at moments of one's own choice: what was made to fail has
//! to be put right first.

use anyhow::{Result, bail};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// The signals that ask to end, kept until somebody looks. Threads and processes
/// that are started later keep them too.
pub(crate) struct Interrupts {
    fd: SignalFd,
    before: SigSet,
}

impl Interrupts {
    /// Keeps them from now on.
    pub(crate) fn keep() -> Result<Self> {
        let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]
            .into_iter()
            .collect();
        let before = SigSet::thread_get_mask()?;
        signals.thread_block()?;
        let fd = SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        Ok(Self { fd, before })
    }

    /// Fails if one has come.
    pub(crate) fn check(&self) -> Result<()> {
        if let Some(info) = self.fd.read_signal()? {
            let signal = Signal::try_from(info.ssi_signo as i32)?;
            bail!("ended by {signal}");
        }
        Ok(())
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        let _ = self.before.thread_set_mask();
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::signal::raise;

    use super::*;

    #[test]
    fn a_signal_is_kept_until_somebody_looks() {
        let interrupts = Interrupts::keep().unwrap();
        interrupts.check().unwrap();
        raise(Signal::SIGTERM).unwrap();
        let error = interrupts.check().unwrap_err();
        assert_eq!(error.to_string(), "ended by SIGTERM");
        interrupts.check().unwrap();
    }
}
