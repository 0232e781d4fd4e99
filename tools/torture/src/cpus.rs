// SPDX-License-Identifier: GPL-2.0
//! The CPUs of this process.

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// Names the calling thread.
const THIS_THREAD: Pid = Pid::from_raw(0);

/// CPUs with a number from here on cannot be named to the test drivers.
const DRIVER_CPUS: usize = 64;

/// The CPUs that the calling thread may run on.
pub(crate) fn usable() -> nix::Result<Vec<usize>> {
    let set = sched_getaffinity(THIS_THREAD)?;
    Ok((0..CpuSet::count())
        .filter(|&cpu| set.is_set(cpu).unwrap_or(false))
        .collect())
}

/// The CPUs among these that the test drivers can use.
pub(crate) fn usable_by_drivers() -> nix::Result<Vec<usize>> {
    let mut cpus = usable()?;
    cpus.retain(|&cpu| cpu < DRIVER_CPUS);
    Ok(cpus)
}

/// Binds the calling thread to one CPU.
pub(crate) fn bind_to(cpu: usize) -> nix::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    sched_setaffinity(THIS_THREAD, &set)
}
