// SPDX-License-Identifier: GPL-2.0
//! SIGINT, SIGTERM and SIGHUP, blocked until a program reads them: a run has to stop
//! injecting faults before it ends.

use std::os::fd::AsFd;
use std::time::Duration;

use anyhow::{Result, bail};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// Blocks the signals until this is dropped. Threads and processes that are started
/// meanwhile inherit that.
#[derive(Debug)]
pub struct Interrupts {
    fd: SignalFd,
    before: SigSet,
}

impl Interrupts {
    /// Blocks the signals.
    pub fn block() -> Result<Self> {
        let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]
            .into_iter()
            .collect();
        let before = SigSet::thread_get_mask()?;
        signals.thread_block()?;
        let fd = SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        Ok(Self { fd, before })
    }

    /// Fails if a signal is pending.
    pub fn check(&self) -> Result<()> {
        match self.read()? {
            Some(signal) => bail!("ended by {signal}"),
            None => Ok(()),
        }
    }

    /// Waits for a signal, at most for `time`.
    pub fn wait(&self, time: Duration) -> Result<Option<Signal>> {
        let timeout = PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX);
        match poll(
            &mut [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)],
            timeout,
        ) {
            Ok(_) | Err(Errno::EINTR) => self.read(),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Takes a pending signal.
    fn read(&self) -> Result<Option<Signal>> {
        let info = self.fd.read_signal()?;
        let signal = info.map(|info| Signal::try_from(info.ssi_signo as i32));
        Ok(signal.transpose()?)
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
    fn a_signal_is_pending_until_it_is_read() {
        let interrupts = Interrupts::block().unwrap();
        interrupts.check().unwrap();
        assert_eq!(interrupts.wait(Duration::from_millis(1)).unwrap(), None);
        raise(Signal::SIGTERM).unwrap();
        let error = interrupts.check().unwrap_err();
        assert_eq!(error.to_string(), "ended by SIGTERM");
        interrupts.check().unwrap();
        raise(Signal::SIGINT).unwrap();
        let waited = interrupts.wait(Duration::from_secs(60)).unwrap();
        assert_eq!(waited, Some(Signal::SIGINT));
    }
}
