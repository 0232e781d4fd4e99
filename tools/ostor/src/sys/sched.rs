// SPDX-License-Identifier: GPL-2.0
//! Scheduling of the calling thread.

#![expect(unsafe_code, reason = "these calls have no safe wrapper")]

use nix::Result;
use nix::errno::Errno;

/// The calling thread.
const THIS_THREAD: libc::pid_t = 0;

/// Sets the thread's niceness, -20 to 19. A thread of higher niceness gets less CPU time.
pub fn set_nice(nice: i32) -> Result<()> {
    // SAFETY: The call takes numbers.
    let result = unsafe { libc::setpriority(libc::PRIO_PROCESS, THIS_THREAD as libc::id_t, nice) };
    Errno::result(result).map(drop)
}

/// Makes the thread a real-time thread, which runs before all others as soon as it wakes.
pub fn set_fifo() -> Result<()> {
    let least = libc::sched_param { sched_priority: 1 };
    // SAFETY: The kernel reads a `sched_param` at the address of `least`.
    let result = unsafe { libc::sched_setscheduler(THIS_THREAD, libc::SCHED_FIFO, &least) };
    Errno::result(result).map(drop)
}

#[cfg(test)]
mod tests {
    use std::{fs, thread};

    use super::*;

    #[test]
    fn a_thread_has_the_niceness_set() {
        let stat = thread::spawn(|| {
            set_nice(7).unwrap();
            fs::read_to_string("/proc/thread-self/stat").unwrap()
        });
        let stat = stat.join().unwrap();
        // The 19th field; the second one, the name, is in brackets.
        let fields = stat.rsplit(')').next().unwrap().split_whitespace();
        assert_eq!(fields.clone().nth(16), Some("7"), "{stat}");
    }
}
