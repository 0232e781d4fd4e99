// SPDX-License-Identifier: GPL-2.0
//! The kernel code that the calls of a thread run, if the kernel has `CONFIG_KCOV`.

#![expect(unsafe_code, reason = "KCOV writes to shared memory")]

use std::fs::{File, OpenOptions};
use std::num::NonZeroUsize;
use std::os::fd::AsRawFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::errno::Errno;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

const DEVICE: &str = "/sys/kernel/debug/kcov";

/// `KCOV_INIT_TRACE`, `KCOV_ENABLE` and `KCOV_TRACE_PC` of `linux/kcov.h`.
const INIT_TRACE: u64 = 0x8008_6301;
const ENABLE: u64 = 0x6364;
const TRACE_PC: u64 = 0;

/// Number of addresses that one call can report.
const WORDS: usize = 64 << 10;

/// The coverage of a thread. The first word is the number of addresses that follow.
pub(crate) struct Kcov {
    words: NonNull<AtomicU64>,
    file: File,
}

impl Kcov {
    /// Starts for the calling thread; `None` if the kernel has no KCOV.
    pub(crate) fn start() -> Result<Option<Self>, Errno> {
        let Ok(file) = OpenOptions::new().read(true).write(true).open(DEVICE) else {
            return Ok(None);
        };
        // SAFETY: The command takes a number.
        Errno::result(unsafe { libc::ioctl(file.as_raw_fd(), INIT_TRACE as _, WORDS) })?;
        let len = NonZeroUsize::new(WORDS * size_of::<u64>()).expect("a length");
        let prot = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: The mapping is new, and is not fixed to an address.
        let words = unsafe { mmap(None, len, prot, MapFlags::MAP_SHARED, &file, 0) }?;
        let kcov = Self {
            words: words.cast(),
            file,
        };
        // SAFETY: The command takes a number.
        Errno::result(unsafe { libc::ioctl(kcov.file.as_raw_fd(), ENABLE as _, TRACE_PC) })?;
        Ok(Some(kcov))
    }

    fn words(&self) -> &[AtomicU64] {
        // SAFETY: `WORDS` words are mapped until this is dropped, and every bit pattern is
        // valid for a number.
        unsafe { std::slice::from_raw_parts(self.words.as_ptr(), WORDS) }
    }

    /// Runs `call` and passes the addresses of the code that it ran to `seen`.
    pub(crate) fn trace<R>(&self, call: impl FnOnce() -> R, mut seen: impl FnMut(u64)) -> R {
        let words = self.words();
        words[0].store(0, Ordering::Relaxed);
        let result = call();
        let count = words[0].load(Ordering::Relaxed) as usize;
        for word in &words[1..=count.min(WORDS - 1)] {
            seen(word.load(Ordering::Relaxed));
        }
        result
    }
}

impl Drop for Kcov {
    fn drop(&mut self) {
        // SAFETY: `start` has mapped the words, and no reference to them is left.
        let _ = unsafe { munmap(self.words.cast(), WORDS * size_of::<u64>()) };
    }
}
