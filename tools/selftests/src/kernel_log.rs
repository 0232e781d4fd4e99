// SPDX-License-Identifier: GPL-2.0
//! The lines that the kernel logs during a test.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;

use anyhow::{Context, Result};
use nix::fcntl::OFlag;

/// The level of a warning; worse levels are below.
const WARNING: u32 = 4;

/// The kernel's log from a moment on.
pub(crate) struct KernelLog {
    file: File,
}

impl KernelLog {
    /// The log from this moment on.
    pub(crate) fn from_now() -> Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(OFlag::O_NONBLOCK.bits());
        let mut file = options
            .open("/dev/kmsg")
            .context("cannot read the kernel's log")?;
        file.seek(SeekFrom::End(0))?;
        Ok(Self { file })
    }

    /// The new lines of the module, and those that are warnings or worse.
    pub(crate) fn complaints(&mut self) -> Result<Vec<String>> {
        let mut complaints = Vec::new();
        let mut record = [0; 8192];
        loop {
            match self.file.read(&mut record) {
                Ok(len) => complaints.extend(complaint(&String::from_utf8_lossy(&record[..len]))),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(complaints),
                // The log was overwritten before it was read.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                    complaints.push("so many lines that some were lost".to_owned());
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// The text of a record, `PRIORITY,…;TEXT`, if it is a complaint.
fn complaint(record: &str) -> Option<String> {
    let (head, text) = record.split_once(';')?;
    let priority: u32 = head.split(',').next()?.parse().ok()?;
    let text = text.lines().next()?;
    // An emulator under load makes an NMI handler slow. The kernel's line about that names
    // the handler's module. The other line says how many such lines it has left out.
    let is_slow = text.starts_with("INFO: NMI handler (") && text.contains("took too long to run");
    let is_left_out =
        text.starts_with("nmi_check_duration: ") && text.ends_with(" callbacks suppressed");
    if is_slow || is_left_out {
        return None;
    }
    (priority % 8 <= WARNING || text.contains("owner_storage")).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_and_the_modules_own_lines_are_complaints() {
        assert_eq!(
            complaint("4,1,2,-;WARNING: at x\n KEY=1\n").unwrap(),
            "WARNING: at x"
        );
        assert_eq!(complaint("2,1,2,-;BUG").unwrap(), "BUG");
        assert_eq!(
            complaint("6,1,2,-;owner_storage: hm\n").unwrap(),
            "owner_storage: hm"
        );
        assert_eq!(complaint("6,1,2,-;random: crng init done\n"), None);
        let slow =
            "6,1,2,-;INFO: NMI handler (f [owner_storage]) took too long to run: 2.5 msecs\n";
        assert_eq!(complaint(slow), None);
        let left_out = "4,1,2,-;nmi_check_duration: 1 callbacks suppressed\n";
        assert_eq!(complaint(left_out), None);
        assert_eq!(
            complaint("12,1,2,-;from user space\n").unwrap(),
            "from user space"
        );
    }
}
